"""Stuck workers that are told to stop end in time, and release what they hold."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import release_all_of
from faces_jobs.db.engine import make_engine, sqlite_path
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from tests.factories import new_claim, results, stored_job
from tests.integration.stored_states import states
from tests.services import TIMEOUT_SECONDS

# A main thread that never checks whether to stop, like one that is inside a network's run.
STUCK = """
import signal, sys, threading, time
from faces_jobs.db.session import open_database
from faces_jobs.worker.graceful_stop import graceful_stop
signal.signal(signal.SIGTERM, lambda *_: None)
stop_requested = threading.Event()
with open_database(sys.argv[1]) as database, graceful_stop(
    name="stuck", database=database, stop_requested=stop_requested, stop_seconds=float(sys.argv[2])
):
    print("ready", flush=True)
    if len(sys.argv) < 4:
        stop_requested.wait()
        print("stopping", flush=True)
        while True:
            time.sleep(3600)
"""


@contextmanager
def stuck_worker(url: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run STUCK in a process of its own; it is killed on exit."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, url, *arguments],
        stdout=subprocess.PIPE,
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def send_term(process: subprocess.Popen[bytes]) -> None:
    """Send TERM and wait until it arrives: the kernel merges two that are pending together."""
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == b"stopping\n"


@pytest.mark.parametrize(("stop_seconds", "signals"), [("3600", 2), ("1", 1)])
def test_a_stuck_worker_ends_and_releases_its_work(
    database: Database, database_url: str, stop_seconds: str, signals: int
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    new_claim(database, job.segments[0], worker="stuck")
    new_claim(database, job.segments[1], worker="another")

    with stuck_worker(database_url, stop_seconds) as process:
        send_term(process)
        for _ in range(signals - 1):
            process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_SECONDS) == 0

    assert states(database, job)[2] == ["queued", "running"]
    with database.read() as session:
        assert session.scalars(select(SegmentRow.attempts).order_by(SegmentRow.id)).all() == [0, 1]
        assert session.scalars(select(SegmentRow.last_rung_at)).all() == [None, None]


def test_a_locked_database_does_not_keep_a_worker_from_ending(sqlite_database_url: str) -> None:
    path = sqlite_path(make_engine(sqlite_database_url).url)
    with stuck_worker(sqlite_database_url, "3600") as process:
        locked = sqlite3.connect(str(path), isolation_level=None)
        try:
            locked.execute("BEGIN IMMEDIATE")
            send_term(process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_SECONDS) == 1, "nothing is released: the lease will expire"
        finally:
            locked.close()


def test_a_worker_that_ends_normally_is_not_delayed(sqlite_database_url: str) -> None:
    with stuck_worker(sqlite_database_url, "3600", "end") as process:
        assert process.wait(TIMEOUT_SECONDS) == 0


def test_exports_are_released_too(database: Database) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    assert claim_job(database, job.id, worker="stuck", lease_seconds=600, max_attempts=3)

    release_all_of(database, "stuck")

    with database.read() as session:
        assert session.execute(select(JobRow.attempts, JobRow.lease_token)).one() == (0, None)
    assert claim_job(database, job.id, worker="w", lease_seconds=600, max_attempts=3)
