"""A real server reports changes of a job: server-sent events, long polls, and their limits."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from faces_jobs.client.api import Client
from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.leases import claim_job, renew_segment
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow
from faces_jobs.results import cancel_job, pause_job
from faces_jobs.retention import delete_job
from faces_jobs.storage import LocalStorage
from tests.factories import StoredJob, new_claim, results, stored_job
from tests.integration.processes import WebServer, web_server
from tests.services import TIMEOUT_SECONDS

WAITERS = 3
TIMEOUT = httpx.Timeout(60)


@pytest.fixture(scope="module")
def database(shared_database_url: str) -> Iterator[Database]:
    with open_database(shared_database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(
    shared_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WebServer]:
    """A server shared by all tests that don't stop it."""
    with web_server(shared_database_url, tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def own_server(shared_database_url: str, tmp_path: Path) -> Iterator[WebServer]:
    """A server for one test, at which at most WAITERS requests may wait."""
    variables = {"FACES_JOBS_WEB_WAITERS": str(WAITERS)}
    with web_server(shared_database_url, tmp_path, **variables) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    id: str
    kind: str
    data: dict[str, object]


def events_of(response: httpx.Response) -> Iterator[Event]:
    """Parse a stream of server-sent events as the HTML standard specifies."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line == "" and "data" in fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}
        elif line and not line.startswith(":"):
            name, _, text = line.partition(": ")
            fields[name] = text


def progress(database: Database, claim: SegmentClaim, frames: int) -> None:
    renew_segment(database, claim, lease_seconds=60, frames_done=frames, frames_total=100)


def end(database: Database, job: StoredJob, claim: SegmentClaim) -> None:
    finish_segment(database, claim, results(frames=100))
    last = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert last is not None
    finish_job(database, last, [])


def test_a_job_is_followed_to_its_end(database: Database, server: WebServer) -> None:
    job = stored_job(database)
    seen = []
    with httpx.stream("GET", server.address(job, "/events"), timeout=TIMEOUT) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        for event in events_of(response):
            seen.append((event.kind, event.data["status"]))
            match len(seen):
                case 1:
                    claim = new_claim(database, job.segments[0])
                case 2:
                    progress(database, claim, 40)
                case 3:
                    assert event.data["progress"]["frames_done"] == 40  # type: ignore[index]  # a document
                    end(database, job, claim)
    assert seen[:3] == [("state", "queued"), ("state", "running"), ("progress", "running")]
    assert seen[-1] == ("end", "succeeded")
    assert {kind for kind, _ in seen[3:-1]} <= {"state"}, "the state `finishing` may be missed"
    last = event.id
    again = httpx.get(
        server.address(job, "/events"), headers={"Last-Event-ID": last}, timeout=TIMEOUT
    )
    assert again.status_code == 204, "a client that has seen the end must not reconnect"
    late = httpx.get(server.address(job, "/events"), timeout=TIMEOUT)
    assert [one.kind for one in events_of(late)] == ["end"]


def test_a_client_that_reconnects_gets_what_changed_and_nothing_twice(
    database: Database, server: WebServer
) -> None:
    job = stored_job(database)
    address = server.address(job, "/events")
    with httpx.stream("GET", address, timeout=TIMEOUT) as response:
        first = next(events_of(response))
    claim = new_claim(database, job.segments[0])
    progress(database, claim, 10)
    known = {"Last-Event-ID": first.id}
    with httpx.stream("GET", address, headers=known, timeout=TIMEOUT) as response:
        missed = next(events_of(response))
    assert missed.data["status"] == "running"
    known = {"Last-Event-ID": missed.id}
    with httpx.stream("GET", address, headers=known, timeout=TIMEOUT) as response:
        pause_job(database, job.id)
        fresh = next(events_of(response))
    assert fresh.data["status"] == "paused", "a state that the client has is not sent again"


def test_deleting_a_job_ends_its_stream(
    database: Database, storage: LocalStorage, server: WebServer
) -> None:
    job = stored_job(database)
    with httpx.stream("GET", server.address(job, "/events"), timeout=TIMEOUT) as response:
        stream = events_of(response)
        next(stream)
        delete_job(job.id, database=database, storage=storage)
        assert [one.kind for one in stream] == ["deleted"]
    assert httpx.get(server.address(job, "/events"), timeout=TIMEOUT).status_code == 404


def test_a_long_poll_is_answered_when_something_changes(
    database: Database, server: WebServer
) -> None:
    job = stored_job(database)
    # Shorter than it might wait.
    first = httpx.get(server.address(job), params={"wait": 60}, timeout=TIMEOUT_SECONDS / 4)
    assert first.status_code == 200, "without an ETag the response comes immediately"
    known = {"If-None-Match": first.headers["etag"]}
    assert httpx.get(server.address(job), headers=known, timeout=TIMEOUT).status_code == 304
    nothing = httpx.get(server.address(job), params={"wait": 0.2}, headers=known, timeout=TIMEOUT)
    assert (nothing.status_code, nothing.content) == (304, b"")
    responses: list[httpx.Response] = []

    def wait() -> None:
        responses.append(
            httpx.get(server.address(job), params={"wait": 60}, headers=known, timeout=TIMEOUT)
        )

    waiting = threading.Thread(target=wait)
    waiting.start()
    cancel_job(database, job.id)
    waiting.join()

    assert responses[0].status_code == 200
    assert responses[0].json()["status"] == "cancelled"
    assert responses[0].headers["etag"] != first.headers["etag"]
    assert httpx.get(server.address(job), params={"wait": 61}, timeout=TIMEOUT).status_code == 422


def test_waiting_requests_do_not_block_other_requests(
    database: Database, own_server: WebServer
) -> None:
    job, other = stored_job(database), stored_job(database)
    address = own_server.address(job, "/events")
    streams = [httpx.stream("GET", address, timeout=TIMEOUT) for _ in range(WAITERS)]
    opened = [stream.__enter__() for stream in streams]
    lines = [response.iter_lines() for response in opened]
    assert {next(one) for one in lines} == {"retry: 3000"}
    try:
        refused = httpx.get(address, timeout=TIMEOUT)
        assert refused.status_code == 503
        assert refused.json()["code"] == "busy"
        assert int(refused.headers["retry-after"]) > 0
        plain = httpx.get(own_server.address(job), timeout=TIMEOUT)
        known = {"If-None-Match": plain.headers["etag"]}
        long_poll = httpx.get(
            own_server.address(job), params={"wait": 9}, headers=known, timeout=TIMEOUT
        )
        assert long_poll.status_code == 503
        for _ in range(20):
            assert httpx.get(own_server.address(job), timeout=TIMEOUT).status_code == 200
        check_client_falls_back_to_polling(database, own_server, other)
    finally:
        for stream in streams:
            stream.__exit__(None, None, None)
    # Their slots are freed although nothing happened to the job that they waited for.
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        with httpx.stream("GET", address, timeout=TIMEOUT) as response:
            if response.status_code == 200:
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_client_falls_back_to_polling(
    database: Database, server: WebServer, job: StoredJob
) -> None:
    seen = []
    with Client(server.url) as client:
        for document in client.follow(job.id):
            seen.append(document.status.value)
            if len(seen) == 1:
                cancel_job(database, job.id)
    assert (seen[0], seen[-1]) == ("queued", "cancelled")


def test_a_server_that_is_stopped_ends_waiting_requests(
    database: Database, own_server: WebServer
) -> None:
    job = stored_job(database)
    with httpx.stream("GET", own_server.address(job, "/events"), timeout=TIMEOUT) as response:
        stream = events_of(response)
        assert next(stream).kind == "state"
        own_server.process.send_signal(signal.SIGTERM)
        assert list(stream) == []
    assert own_server.process.wait(TIMEOUT_SECONDS) == 0


def test_clients_never_see_a_job_go_back(database: Database, server: WebServer) -> None:
    """Several clients that follow one job, each from its own state, never get an older state."""
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    done: list[list[int]] = [[] for _ in range(WAITERS)]

    def follow(seen_frames: list[int]) -> None:
        with Client(server.url) as client:
            seen_frames.extend(one.progress.frames_done for one in client.follow(job.id))

    threads = [threading.Thread(target=follow, args=(seen_frames,)) for seen_frames in done]
    for thread in threads:
        thread.start()
    for frames in range(1, 40):
        progress(database, claim, frames)
        time.sleep(0.05)
    with database.begin() as session:
        session.execute(update(JobRow).values(label="x"))
    cancel_job(database, job.id)
    for thread in threads:
        thread.join()
    for seen_frames in done:
        assert seen_frames == sorted(seen_frames)
        assert seen_frames[-1] == 39
