"""Attempts that end without a result: pauses between them, and what is known of the last."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from sqlalchemy import select, update

from faces_jobs.cli.worker_deaths import death_recorder, describe_exit
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.evidence import record_worker_death
from faces_jobs.db.leases import claim_job, claim_segment, renew_segment
from faces_jobs.db.release import release_job, release_segment
from faces_jobs.db.scheduling import claim_next
from faces_jobs.db.segment_endings import fail_segment, finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.queue import CeleryQueue
from faces_jobs.results import get_job, list_items
from faces_jobs.settings import Settings
from faces_jobs.worker.backoff import backoff_seconds
from faces_jobs.worker.sweep import sweep
from tests.factories import claimed, results, stored_job
from tests.integration.stored_states import expire
from tests.integration.workbench import Bench

MIB = 1024**2


def is_to_be_had(database: Database, segment_id: int) -> bool:
    return (
        claim_segment(database, segment_id, worker="w", lease_seconds=60, max_attempts=3)
        is not None
    )


def end_pauses(database: Database) -> None:
    """Let every pause be over without waiting for it."""
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
        assert len(set(drawn)) > 1, "never all at once"
    assert backoff_seconds(settings.model_copy(update={"retry_seconds": 0.0}), 3) == 0


def test_work_that_failed_waits_for_its_pause_and_is_rung_for(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    claim = claimed(database, job.segments[0])
    release_segment(database, claim, reason="locked", counts=True, delay_seconds=600)

    assert not is_to_be_had(database, job.segments[0])
    assert claim_next(database, worker="w", lease_seconds=60, max_attempts=3) is None
    assert sweep(database, queue, settings).segments_rung == 0

    end_pauses(database)
    assert sweep(database, queue, settings).segments_rung == 1, "as soon as the pause is over"
    again = claim_next(database, worker="w", lease_seconds=60, max_attempts=3)
    assert again is not None
    assert again.attempt == 2


def test_exports_that_failed_wait_for_their_pause(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    finish_segment(database, claimed(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    release_job(database, claim, reason="locked", counts=True, delay_seconds=600)

    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is None
    assert sweep(database, queue, settings).jobs_rung == 0
    end_pauses(database)
    assert sweep(database, queue, settings).jobs_rung == 1
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is not None


def test_workers_that_vanish_leave_what_is_known_of_them(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    for number in range(3):
        claim = claimed(database, job.segments[0], worker=f"host-{number}")
        renew_segment(
            database,
            claim,
            lease_seconds=60,
            frames_done=120 + number,
            frames_total=900,
            peak_memory_bytes=700 * MIB,
        )
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


def test_a_death_that_was_seen_frees_its_work_and_names_the_signal(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["killer.mp4", "other.mp4"])
    other = claimed(database, job.segments[1], worker="host-99-a")
    for _ in range(3):
        claimed(database, job.segments[0], worker="host-9-a")
        held = record_worker_death(
            database,
            worker_prefix="host-9-",
            reason=describe_exit(-signal.SIGKILL),
            exit_signal="SIGKILL",
            delay=600,
        )
        assert held == 1
        assert not is_to_be_had(database, job.segments[0]), "there is a pause between attempts"
        end_pauses(database)
    sweep(database, queue, settings)

    first = list_items(database, job.id).items[0]
    assert first.evidence is not None
    assert first.evidence.exit_signal == "SIGKILL"
    assert first.error is not None
    assert "memory" in first.error.message
    renew_segment(database, other, lease_seconds=9, frames_done=1, frames_total=None)


def test_exports_that_kill_their_worker_leave_evidence_with_the_job(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    finish_segment(database, claimed(database, job.segments[0]), results())
    for _ in range(3):
        assert claim_job(database, job.id, worker="h-7-a", lease_seconds=60, max_attempts=3)
        record_worker_death(
            database, worker_prefix="h-7-", reason="it died", exit_signal="SIGSEGV", delay=0
        )
    sweep(database, queue, settings)

    document = get_job(database, job.id)
    assert document.error is not None
    assert document.evidence is not None
    assert document.evidence.exit_signal == "SIGSEGV"


def test_what_fails_every_time_leaves_its_last_reason(database: Database) -> None:
    job = stored_job(database)
    error = ErrorDocument(code="poison", message="Given up: ZeroDivisionError.")
    fail_segment(database, claimed(database, job.segments[0]), error, gave_up=True)

    (item,) = list_items(database, job.id).items
    assert item.evidence is not None
    assert item.evidence.said == "Given up: ZeroDivisionError."


def test_what_can_t_get_better_is_not_tried_again(bench: Bench, clip: object) -> None:
    job_id = bench.submit(clip)  # type: ignore[arg-type]  # a path

    def fail(_batch: int) -> None:
        raise NotFoundError("There is no such file.")

    bench.networks.before_batch = fail
    bench.work(job_id)

    assert get_job(bench.worker.database, job_id).status == "failed"
    with bench.worker.database.read() as session:
        assert session.scalars(select(SegmentRow.attempts)).one() == 1


def test_a_heartbeat_tells_the_memory(bench: Bench, photo: object) -> None:
    job_id = bench.submit(photo)  # type: ignore[arg-type]  # a path
    bench.work(job_id)
    with bench.worker.database.read() as session:
        peak = session.scalars(select(SegmentRow.peak_memory_bytes)).one()
    assert peak is not None
    assert peak > MIB


@pytest.mark.parametrize("code", [-9, -11, 1])
def test_how_a_process_ended_is_said_in_words(code: int) -> None:
    assert describe_exit(code).startswith("its worker")
    assert ("SIG" in describe_exit(code)) == (code < 0)


def test_a_supervisor_tells_of_a_process_that_it_saw_die(
    database: Database, database_url: str, settings: Settings
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    job = stored_job(database)
    claimed(database, job.segments[0], worker=f"{socket.gethostname()}-{process.pid}-abc")
    os.kill(process.pid, signal.SIGKILL)

    here = settings.model_copy(update={"database_url": database_url, "retry_seconds": 0.0})
    death_recorder(here)(process.pid, process.wait())

    with database.read() as session:
        assert session.scalars(select(SegmentRow.exit_signal)).one() == "SIGKILL"
    assert is_to_be_had(database, job.segments[0])
