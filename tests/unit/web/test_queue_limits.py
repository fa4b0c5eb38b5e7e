"""Limits of the queue: 429 with Retry-After, sent before the body is read."""

from __future__ import annotations

from faces_jobs.results import list_jobs
from faces_jobs_web.services import EXTENSION
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

JOBS = "/api/v1/jobs"


def test_a_full_queue_is_429_before_the_body_is_read(make_app: MakeApp) -> None:
    app = make_app(max_queued_jobs=1)
    client = client_of(app)
    first = client.post(JOBS, data={"files": upload()}, headers={"Idempotency-Key": "one"})
    assert first.status_code == 201

    refused = client.post(
        JOBS, data=b"no form at all", content_type="multipart/form-data; boundary=x"
    )
    assert_problem(refused, 429, "queue-full")
    assert int(refused.headers["Retry-After"]) > 0

    again = client.post(JOBS, data={"files": upload()}, headers={"Idempotency-Key": "one"})
    assert again.status_code == 200, "a repeated request adds no job"
    assert len(list_jobs(app.extensions[EXTENSION].database).jobs) == 1


def test_each_owner_has_its_own_limit(make_app: MakeApp) -> None:
    client = client_of(make_app(max_owner_jobs=1))

    def status(owner: str) -> int:
        headers = {"Faces-Owner": owner}
        return int(client.post(JOBS, data={"files": upload()}, headers=headers).status_code)

    assert [status(owner) for owner in ("alice", "alice", "bob", "", "")] == [
        201,
        429,
        201,
        201,
        429,
    ]


def test_too_many_files_for_the_queue_are_rejected_and_removed(make_app: MakeApp) -> None:
    app = make_app(max_queued_items=2)
    client: WebClient = client_of(app)
    files = [upload(f"{number}.png") for number in range(3)]
    assert_problem(client.post(JOBS, data={"files": files}), 429, "queue-full")
    services = app.extensions[EXTENSION]
    assert not any(path.is_file() for path in services.storage.folder.rglob("*"))


def test_the_form_reports_a_full_queue(make_app: MakeApp) -> None:
    client = client_of(make_app(max_queued_jobs=1))
    client.post(JOBS, data={"files": upload()})
    page = client.get("/").text
    token = page.partition('name="form_token" value="')[2].partition('"')[0]
    refused = client.post("/", data={"form_token": token, "files": upload()})
    assert refused.status_code == 429
    assert "send it again later" in refused.text
    assert int(refused.headers["Retry-After"]) > 0
