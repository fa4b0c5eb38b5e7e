"""GET /api/v1/audit: the log of deletions."""

from __future__ import annotations

from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

AUDIT = "/api/v1/audit"


def test_a_deletion_is_listed_in_the_audit_log(client: WebClient) -> None:
    assert client.get(AUDIT).json == {"entries": [], "next_cursor": None}
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]

    assert client.delete(f"/api/v1/jobs/{job_id}").status_code == 204

    (entry,) = client.get(f"{AUDIT}?job={job_id}").json["entries"]
    assert (entry["why"], entry["by"], entry["files"]) == ("asked", "api", 1)
    assert entry["verified_at"]
    assert client.get(f"{AUDIT}?job=other").json["entries"] == []
    assert_problem(client.get(f"{AUDIT}?cursor=x"), 422, "invalid-options")
    assert_problem(client.get(f"{AUDIT}?job=%00"), 422, "invalid-options")
