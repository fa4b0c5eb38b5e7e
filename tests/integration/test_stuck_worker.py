"""A worker whose work is stuck ends, and its attempt counts."""

from __future__ import annotations

import os
import subprocess
import sys

from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.worker.held_leases import STUCK
from tests.factories import new_claim, stored_job
from tests.services import TIMEOUT_SECONDS

# The main thread waits for ever, like one inside a decoder.
WORKER = """
import sys, threading
from types import SimpleNamespace
from faces_jobs.db.session import open_database
from faces_jobs.settings import Settings
from faces_jobs.worker.held_leases import end_stuck
from faces_jobs.worker.heartbeat import Heartbeat
with open_database(sys.argv[1]) as database:
    worker = SimpleNamespace(name="stuck", database=database, settings=Settings())
    with Heartbeat(
        lambda *_: None,
        interval_seconds=0.01,
        stop_requested=threading.Event(),
        on_stall=lambda: end_stuck(worker),
        stall_seconds=0.1,
    ):
        threading.Event().wait()
"""


def test_a_worker_that_makes_no_progress_ends_and_its_attempt_counts(
    database: Database, database_url: str
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    new_claim(database, job.segments[0], worker="stuck")
    new_claim(database, job.segments[1], worker="another")

    ended = subprocess.run(
        [sys.executable, "-c", WORKER, database_url],
        env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert ended.returncode == 1
    with database.read() as session:
        rows = session.execute(
            select(SegmentRow.attempts, SegmentRow.last_error).order_by(SegmentRow.id)
        ).all()
    assert [tuple(row) for row in rows] == [(1, STUCK), (1, None)]
