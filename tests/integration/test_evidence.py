"""Attempts that end without a result: the pauses between them, and the recorded evidence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, update

from faces_jobs.cli.worker_deaths import death_recorder, describe_exit
from faces_jobs.db.claims.evidence import record_worker_death
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_segment
from faces_jobs.db.claims.release import release_job, release_segment
from faces_jobs.db.claims.scheduling import claim_next
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.segments.endings import fail_segment, finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import get_job, list_items
from faces_jobs.settings import Settings
from faces_jobs.worker.backoff import backoff_seconds
from faces_jobs.worker.maintenance.sweep import sweep
from tests.factories import new_claim, results, stored_job
from tests.integration.harness import Harness
from tests.integration.stored_states import expire

MIB = 1024**2
BROKEN = ErrorDocument(code="poison", message="Given up: ZeroDivisionError.")


def try_claim(database: Database, segment_id: int) -> bool:
    """Claim a segment. Returns whether it was available."""
    return (
        claim_segment(database, segment_id, worker="w", lease_seconds=60, max_attempts=3)
        is not None
    )


def end_pauses(database: Database) -> None:
    """End every pause without waiting for it."""
    with database.begin() as session:
        for table in (SegmentRow, JobRow):
            session.execute(
                update(table)
                .where(table.not_before.is_not(None))
                .values(not_before=now_seconds() - 1, last_rung_at=now_seconds() - 2)
            )


def test_pauses_double_within_their_jitter() -> None:
    settings = Settings(retry_seconds=2.0, retry_max_seconds=60.0)
    for attempt, pause in ((1, 2), (2, 4), (3, 8), (9, 60), (5000, 60)):
        drawn = [backoff_seconds(settings, attempt) for _ in range(50)]
        assert all(pause / 2 <= one <= pause * 1.5 for one in drawn)
        assert len(set(drawn)) > 1, "workers must not retry in step"
    assert backoff_seconds(settings.model_copy(update={"retry_seconds": 0.0}), 3) == 0


def test_failed_work_waits_for_its_pause_and_is_then_rung_for(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    release_segment(database, claim, reason="locked", counts=True, delay_seconds=600)

    assert not try_claim(database, job.segments[0])
    assert claim_next(database, worker="w", lease_seconds=60, max_attempts=3) is None
    assert sweep(database, queue, settings).segments_rung == 0

    end_pauses(database)
    assert sweep(database, queue, settings).segments_rung == 1, "as soon as the pause is over"
    again = claim_next(database, worker="w", lease_seconds=60, max_attempts=3)
    assert again is not None
    assert again.attempt == 2


def test_failed_exports_wait_for_their_pause(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    release_job(database, claim, reason="locked", counts=True, delay_seconds=600)

    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is None
    assert sweep(database, queue, settings).jobs_rung == 0
    end_pauses(database)
    assert sweep(database, queue, settings).jobs_rung == 1
    assert claim_job(database, job.id, worker="x", lease_seconds=60, max_attempts=3) is not None
    with database.read() as session:
        row = session.get_one(JobRow, job.id)
    assert (row.worker, row.last_error, row.not_before) == ("x", None, None)


def test_evidence_is_kept_of_workers_that_vanish(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    for number in range(3):
        claim = new_claim(database, job.segments[0], worker=f"host-{number}")
        renew_segment(
            database,
            claim,
            lease_seconds=60,
            frames_done=120 + number,
            frames_total=900,
            peak_memory_bytes=700 * MIB,
        )
        if number == 0:  # of this attempt's end nothing is left
            record_worker_death(
                database, worker_prefix="host-0", reason="it died", exit_signal="SIGKILL", delay=0
            )
        else:
            expire(database, job.segments[0])
    sweep(database, queue, settings)

    (item,) = list_items(database, job.id).items
    assert item.error is not None
    assert item.error.code == "poison"
    assert "disappeared without reporting an error" in item.error.message
    assert item.evidence is not None
    assert item.evidence.attempts == 3
    assert item.evidence.worker == "host-2"
    assert item.evidence.exit_signal is None
    assert item.evidence.peak_memory_bytes == 700 * MIB
    assert item.evidence.last_frame == 122


def test_a_recorded_death_releases_the_work_and_names_the_signal(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["killer.mp4", "other.mp4"])
    other = new_claim(database, job.segments[1], worker="my-host-9-a")
    for _ in range(3):
        new_claim(database, job.segments[0], worker="my_host-9-a")
        held = record_worker_death(
            database,
            worker_prefix="my_host-9-",
            reason=describe_exit(-signal.SIGKILL),
            exit_signal="SIGKILL",
            delay=600,
        )
        assert held == 1
        assert not try_claim(database, job.segments[0]), "there is a pause between attempts"
        end_pauses(database)
    sweep(database, queue, settings)

    first = list_items(database, job.id).items[0]
    assert first.evidence is not None
    assert first.evidence.exit_signal == "SIGKILL"
    assert first.error is not None
    assert "memory" in first.error.message
    renew_segment(database, other, lease_seconds=9, frames_done=1, frames_total=None)


def test_the_job_keeps_evidence_of_exports_that_killed_their_workers(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job, other = stored_job(database), stored_job(database)
    fail_segment(database, new_claim(database, job.segments[0]), BROKEN)
    finish_segment(database, new_claim(database, other.segments[0]), results())
    for _ in range(3):
        assert claim_job(database, job.id, worker="h-7-a", lease_seconds=60, max_attempts=3)
        held = [
            record_worker_death(
                database, worker_prefix=prefix, reason="it died", exit_signal="SIGSEGV", delay=0
            )
            for prefix in ("h_7-", "h-7-")
        ]
        assert held == [0, 1]
    sweep(database, queue, settings)

    document = get_job(database, job.id)
    assert document.status == "failed", "that another job has results is of no help"
    assert document.error is not None
    assert document.evidence is not None
    assert document.evidence.exit_signal == "SIGSEGV"


def test_work_that_always_fails_keeps_its_last_reason(database: Database) -> None:
    job = stored_job(database)
    fail_segment(database, new_claim(database, job.segments[0]), BROKEN, gave_up=True)

    (item,) = list_items(database, job.id).items
    assert item.evidence is not None
    assert item.evidence.said == "Given up: ZeroDivisionError."


def test_permanent_errors_are_not_retried(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)

    def fail(_batch: int) -> None:
        raise NotFoundError("There is no such file.")

    harness.networks.before_batch = fail
    harness.work(job_id)

    assert get_job(harness.worker.database, job_id).status == "failed"
    with harness.worker.database.read() as session:
        assert session.scalars(select(SegmentRow.attempts)).one() == 1


def test_a_heartbeat_records_the_peak_memory(harness: Harness, photo: Path) -> None:
    job_id = harness.submit(photo)
    harness.work(job_id)
    with harness.worker.database.read() as session:
        peak = session.scalars(select(SegmentRow.peak_memory_bytes)).one()
    assert peak is not None
    assert peak > MIB


@pytest.mark.parametrize("code", [-9, -11, 1])
def test_an_exit_status_is_described_in_words(code: int) -> None:
    assert describe_exit(code).startswith("its worker")
    assert ("SIG" in describe_exit(code)) == (code < 0)


def test_the_supervisor_records_the_death_of_a_process(
    database: Database, database_url: str, settings: Settings
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job = stored_job(database)
    new_claim(database, job.segments[0], worker=f"{socket.gethostname()}-{process.pid}-abc")
    os.kill(process.pid, signal.SIGKILL)

    service_settings = settings.model_copy(
        update={"database_url": database_url, "retry_seconds": 0.0}
    )
    death_recorder(service_settings)(process.pid, process.wait())

    with database.read() as session:
        assert session.scalars(select(SegmentRow.exit_signal)).one() == "SIGKILL"
    assert try_claim(database, job.segments[0])
