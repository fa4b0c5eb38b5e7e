"""A client that disconnects while it waits for a job is noticed, and its slot is freed."""

from __future__ import annotations

import socket

import pytest

from faces_jobs.results import get_job
from faces_jobs_web.disconnect import disconnect_check
from faces_jobs_web.services import Services
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload


def test_a_closed_connection_is_noticed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        has_disconnected = disconnect_check({"gunicorn.socket": ours})
        assert not has_disconnected()
        theirs.sendall(b"more")
        assert not has_disconnected()
        assert ours.recv(4) == b"more", "data that it sends is left to be read"
        theirs.close()
        assert has_disconnected()
    assert has_disconnected()


def test_without_a_connection_no_disconnect_is_reported() -> None:
    assert not disconnect_check({})()


@pytest.mark.timeout(60)
def test_waiting_ends_when_the_client_has_disconnected(
    client: WebClient, services: Services
) -> None:
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    job = get_job(services.database, job_id)
    checks: list[None] = []

    def has_disconnected() -> bool:
        checks.append(None)
        return len(checks) > 1

    version = client.get(f"/api/v1/jobs/{job_id}").headers["ETag"].split('"')[1]
    assert (
        services.watcher.wait_for_change(
            job.id, version, seconds=3600, has_disconnected=has_disconnected
        )
        is None
    )
    assert len(checks) == 2
