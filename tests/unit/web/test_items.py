"""GET /api/v1/jobs/{id}/items, and the page of a job's files: filters and pages."""

from __future__ import annotations

import io

from faces_jobs_web.services import Services
from tests.unit.web import worked
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem


def test_items_are_filtered_by_status(client: WebClient, services: Services) -> None:
    files = [upload(f"{number}.png", number) for number in range(6)]
    files += [(io.BytesIO(b"no picture at all"), f"{number}.txt") for number in range(4)]
    job_id = client.post("/api/v1/jobs", data={"files": files}).json["id"]
    address = f"/api/v1/jobs/{job_id}/items?status=failed"
    first = client.get(f"{address}&limit=3").json
    rest = client.get(f"{address}&limit=3&cursor={first['next_cursor']}").json
    names = [item["name"] for item in first["items"] + rest["items"]]
    assert (names, rest["next_cursor"]) == ([f"{number}.txt" for number in range(4)], None)

    failed = f"/jobs/{job_id}/items?status=failed"
    assert f'<a href="{failed}">4 files failed</a>' in client.get(f"/jobs/{job_id}").text
    page = client.get(f"{failed}&limit=3").text
    assert "0.txt" in page
    assert "0.png" not in page
    assert 'aria-current="page">Failed 4</a>' in page
    assert f"{failed}&amp;limit=3&amp;cursor=" in page
    assert (
        "No files are in this state." in client.get(f"/jobs/{job_id}/items?status=cancelled").text
    )
    worked.finish(services.database, services.storage, job_id)
    assert f'<a href="{failed}">See which ones and why.</a>' in client.get(f"/jobs/{job_id}").text


def test_pages_keep_the_order_of_items(client: WebClient) -> None:
    names = [f"{number}.png" for number in range(5)]
    files = [upload(name, shade) for shade, name in enumerate(names)]
    job_id = client.post("/api/v1/jobs", data={"files": files}).json["id"]
    address = f"/api/v1/jobs/{job_id}/items"
    first = client.get(address, query_string={"limit": 3}).json
    rest = client.get(address, query_string={"limit": 3, "cursor": first["next_cursor"]}).json
    assert [item["name"] for item in first["items"] + rest["items"]] == names
    assert rest["next_cursor"] is None
    assert_problem(client.get(f"{address}?status=x"), 422, "invalid-options", fields={"status"})
