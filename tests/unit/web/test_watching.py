"""The thread that polls jobs for waiting requests: what they get from it, and when it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from flask import Flask

from faces_jobs.errors import DatabaseError, NotFoundError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs_web import watching
from faces_jobs_web.services import EXTENSION, Services
from faces_jobs_web.watching import Watcher
from tests.services import TIMEOUT_SECONDS
from tests.unit.web.conforming import WebClient
from tests.unit.web.media_files import upload


@pytest.fixture(autouse=True)
def frequent_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.01)


def no_database(_job_ids: Sequence[str]) -> Mapping[str, JobDocument]:
    raise DatabaseError("The database does not answer.")


def no_jobs(_job_ids: Sequence[str]) -> Mapping[str, JobDocument]:
    return {}


def join_watchers() -> None:
    for thread in threading.enumerate():
        if thread.name == "watcher":
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive(), "jobs are polled although nobody waits"


def test_a_failing_database_is_reported_and_not_taken_for_a_deletion() -> None:
    watcher = Watcher(no_database, max_waiters=1)
    with pytest.raises(DatabaseError):
        watcher.wait_for_change("job", "version", seconds=TIMEOUT_SECONDS)


def test_polling_ends_with_the_last_waiter_and_begins_again_with_the_next() -> None:
    watcher = Watcher(no_jobs, max_waiters=1)
    for job_id in ("one", "one", "other"):
        with pytest.raises(NotFoundError):
            watcher.wait_for_change(job_id, "version", seconds=TIMEOUT_SECONDS)
        join_watchers()


def test_nobody_waits_for_a_server_that_stops() -> None:
    watcher = Watcher(no_jobs, max_waiters=1)
    watcher.is_stopping = lambda: True
    assert watcher.wait_for_change("job", "version", seconds=TIMEOUT_SECONDS) is None
    join_watchers()


def test_an_unexpected_error_is_logged_and_reported(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_job_ids: Sequence[str]) -> Mapping[str, JobDocument]:
        raise ZeroDivisionError

    watcher = Watcher(broken, max_waiters=1)
    with pytest.raises(ZeroDivisionError), caplog.at_level(logging.ERROR):
        watcher.wait_for_change("job", "version", seconds=TIMEOUT_SECONDS)
    join_watchers()
    assert "polling jobs failed" in caplog.text


def test_an_event_stream_ends_without_a_last_event_when_the_database_fails(
    app: Flask, client: WebClient, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    app.extensions[EXTENSION] = replace(services, watcher=Watcher(no_database, max_waiters=1))
    job_id = client.post("/api/v1/jobs", data={"files": upload()}).json["id"]
    for _ in range(2):  # the slot is free again
        response = client.get(f"/api/v1/jobs/{job_id}/events")
        assert response.status_code == 200
        assert response.headers["X-Accel-Buffering"] == "no", "nginx would hold the events back"
        kinds = [line for line in response.text.splitlines() if line.startswith("event:")]
        assert kinds == ["event: state"], "the client reconnects"
    assert "ended early" in caplog.text
