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
        has_disconnected = disconnect_check({"gunicorn.socket": ours})
        assert not has_disconnected()
        theirs.sendall(b"more")
        assert not has_disconnected()
        assert ours.recv(4) == b"more", "what it sends is left to be read"
        theirs.close()
        assert has_disconnected()
    assert has_disconnected()


def test_without_a_connection_nobody_leaves() -> None:
    assert not disconnect_check({})()


@pytest.mark.timeout(60)
def test_waiting_ends_when_the_client_has_disconnected(client: WebClient, held: Services) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    job = get_job(held.database, job_id)
    asked: list[None] = []

    def has_disconnected() -> bool:
        asked.append(None)
        return len(asked) > 1

    version = client.get(f"/api/v1/jobs/{job_id}").headers["ETag"].split('"')[1]
    assert (
        held.watcher.wait_for_change(
            job.id, version, seconds=3600, has_disconnected=has_disconnected
        )
        is None
    )
    assert len(asked) == 2
