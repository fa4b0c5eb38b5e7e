"""GET /api/v1/jobs and /jobs/{id}, POST /jobs/{id}/cancel, DELETE /jobs/{id}."""

from __future__ import annotations

import uuid

import pytest

from faces_jobs.db.claims.leases import renew_segment
from faces_jobs.results import list_jobs
from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

JOBS = "/api/v1/jobs"


def submit(client: WebClient, **fields: str) -> str:
    response = client.post(JOBS, data={"files": upload(), **fields})
    assert response.status_code == 201
    return str(response.json["id"])


def test_jobs_are_listed_newest_first_in_pages(client: WebClient) -> None:
    ids = [submit(client, label=f"job {number}") for number in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = client.get(JOBS, query_string=query).json
        assert len(page["jobs"]) <= 2
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


def test_jobs_are_found_by_state_and_label(client: WebClient, services: Services) -> None:
    done, waiting = submit(client, label="Lake"), submit(client, label="Hill")
    worked.finish(services.database, services.storage, done)
    found = client.get(JOBS, query_string={"status": "succeeded"}).json["jobs"]
    assert [job["id"] for job in found] == [done]
    found = client.get(JOBS, query_string={"label": "Hill"}).json["jobs"]
    assert [job["id"] for job in found] == [waiting]
    assert client.get(JOBS, query_string={"label": "Sea"}).json["jobs"] == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=done", "status"),
        ("cursor=nonsense", "cursor"),
        ("page=2", "page"),
    ],
)
def test_an_invalid_parameter_is_named(client: WebClient, query: str, wrong: str) -> None:
    assert_problem(client.get(f"{JOBS}?{query}"), 422, "invalid-options", fields={wrong})


def test_a_running_job_has_its_progress(client: WebClient, services: Services) -> None:
    job_id = submit(client)
    (claim,) = worked.claim(services.database, job_id)
    renew_segment(services.database, claim, lease_seconds=60, frames_done=30, frames_total=120)
    job = client.get(f"{JOBS}/{job_id}").json
    assert job["status"] == "running"
    assert job["progress"]["frames_done"] == 30
    assert job["progress"]["frames_total"] == 120
    assert 0 < job["progress"]["fraction"] < 1


@pytest.mark.parametrize("path", ["", "/items"])
def test_a_paused_job_shows_no_time_left(client: WebClient, services: Services, path: str) -> None:
    job_id = submit(client)
    (claim,) = worked.claim(services.database, job_id)
    renew_segment(services.database, claim, lease_seconds=60, frames_done=30, frames_total=120)

    def progress() -> dict[str, object]:
        document = client.get(f"{JOBS}/{job_id}{path}").json
        shown: dict[str, object] = (document if not path else document["items"][0])["progress"]
        return shown

    assert progress()["eta_seconds"] is not None
    client.post(f"{JOBS}/{job_id}/pause")
    paused = progress()
    assert (paused["frames_per_second"], paused["eta_seconds"]) == (None, None)
    assert paused["frames_done"] == 30
    client.post(f"{JOBS}/{job_id}/resume")
    assert progress()["eta_seconds"] is not None


def test_an_unchanged_job_is_answered_304(client: WebClient) -> None:
    job_id = submit(client)
    first = client.get(f"{JOBS}/{job_id}")
    tag = first.headers["ETag"]
    again = client.get(f"{JOBS}/{job_id}", headers={"If-None-Match": tag})
    assert again.status_code == 304
    client.post(f"{JOBS}/{job_id}/cancel")
    changed = client.get(f"{JOBS}/{job_id}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


def test_a_job_that_does_not_match_is_a_problem(client: WebClient) -> None:
    path = f"{JOBS}/{submit(client)}"
    weak = client.get(path).headers["ETag"]  # rate and time left may have changed without it
    for tag in ('"another"', weak):
        assert_problem(client.get(path, headers={"If-Match": tag}), 412, "precondition-failed")
    assert client.get(path, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/items"),
        ("GET", "/tracks"),
        ("GET", "/faces"),
        ("GET", "/artifacts"),
        ("GET", "/artifacts/1"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ],
)
def test_an_unknown_job_is_404(client: WebClient, method: str, path: str) -> None:
    for job_id in (str(uuid.uuid4()), "x", "a%00b", "..%2f..", "'%20OR%201=1"):
        response = client.open(f"{JOBS}/{job_id}{path}", method=method)
        assert_problem(response, 404, "not-found")


def test_cancelling_a_job_is_idempotent(client: WebClient, services: Services) -> None:
    job_id = submit(client)
    for _ in range(2):
        response = client.post(f"{JOBS}/{job_id}/cancel")
        assert response.status_code == 200
        assert response.json["status"] == "cancelled"
    assert worked.claim(services.database, job_id) == []


def test_an_ended_job_can_not_be_cancelled(client: WebClient, services: Services) -> None:
    job_id = submit(client)
    worked.finish(services.database, services.storage, job_id)
    assert_problem(client.post(f"{JOBS}/{job_id}/cancel"), 409, "state")


def test_a_deleted_job_leaves_no_row_and_no_file(client: WebClient, services: Services) -> None:
    job_id = submit(client)
    worked.finish(services.database, services.storage, job_id)
    assert any(path.is_file() for path in services.storage.folder.rglob("*"))
    response = client.delete(f"{JOBS}/{job_id}")
    assert response.status_code == 204
    assert response.data == b""
    assert list_jobs(services.database).jobs == []
    assert not any(path.is_file() for path in services.storage.folder.rglob("*"))
    assert_problem(client.delete(f"{JOBS}/{job_id}"), 404, "not-found")


def test_a_failed_item_has_its_error(client: WebClient, services: Services) -> None:
    files = [upload("a.png"), upload("b.png", 3)]
    job_id = client.post(JOBS, data={"files": files}).json["id"]
    first, second = worked.claim(services.database, job_id)
    worked.fail(services.database, first, "truncated", "The file ends too soon.")
    worked.fail(services.database, second, "no-video", "No picture in it.")
    worked.finish_exports(services.database, services.storage, job_id)
    assert client.get(f"{JOBS}/{job_id}").json["status"] == "failed"
    items = client.get(f"{JOBS}/{job_id}/items").json["items"]
    assert items[0]["error"] == {"code": "truncated", "message": "The file ends too soon."}
    assert items[1]["status"] == "failed"
