"""GET /api/v1/jobs/{id}/items."""

from __future__ import annotations

from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem


def test_items_come_in_pages_in_their_order(client: WebClient) -> None:
    names = [f"{number}.png" for number in range(5)]
    files = [upload(name, shade) for shade, name in enumerate(names)]
    job_id = client.post("/api/v1/jobs", data={"files": files}).json["id"]
    address = f"/api/v1/jobs/{job_id}/items"
    first = client.get(address, query_string={"limit": 3}).json
    rest = client.get(address, query_string={"limit": 3, "cursor": first["next_cursor"]}).json
    assert [item["name"] for item in first["items"] + rest["items"]] == names
    assert rest["next_cursor"] is None
    assert_problem(client.get(f"{address}?status=x"), 422, "invalid-options", fields={"status"})
