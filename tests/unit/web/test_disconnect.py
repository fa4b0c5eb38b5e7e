"""Who waits for a job and goes away is noticed, and gives its place back."""

from __future__ import annotations

import socket

import pytest

from faces_jobs.results import get_job
from faces_jobs_web.disconnect import disconnect_check
from faces_jobs_web.services import Services
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload


def test_a_connection_tells_whether_its_client_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        has_left = disconnect_check({"gunicorn.socket": ours})
        assert not has_left()
        theirs.sendall(b"more")
        assert not has_left()
        assert ours.recv(4) == b"more", "what it sends is left to be read"
        theirs.close()
        assert has_left()
    assert has_left()


def test_without_a_connection_nobody_leaves() -> None:
    assert not disconnect_check({})()


@pytest.mark.timeout(60)
def test_nobody_waits_on_for_who_has_left(client: WebClient, held: Services) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    job = get_job(held.database, job_id)
    asked: list[None] = []

    def has_left() -> bool:
        asked.append(None)
        return len(asked) > 1

    version = client.get(f"/api/v1/jobs/{job_id}").headers["ETag"].split('"')[1]
    assert held.watcher.next(job.id, version, seconds=3600, has_left=has_left) is None
    assert len(asked) == 2
