"""Which queue messages the sweep sends, and which it doesn't send again."""

from __future__ import annotations

from sqlalchemy import update

from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.sweep import (
    ENOUGH_MESSAGES,
    SweepReport,
    sweep,
)
from tests.factories import face, new_claim, results, stored_job
from tests.integration.memory_queue import MemoryQueue
from tests.integration.stored_states import expire


def age_rings(database: Database, seconds: float = 3600) -> None:
    """Make every ring one of long ago."""
    with database.begin() as session:
        for table in (SegmentRow, JobRow):
            session.execute(update(table).values(last_rung_at=now_seconds() - seconds))


def test_new_segments_are_rung_for_once(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])

    assert sweep(database, memory_queue, settings) == SweepReport(2, 0, 0, without_message=2)
    assert memory_queue.take() == list(job.segments)
    assert sweep(database, memory_queue, settings) == SweepReport(0, 0, 0)


def test_segments_whose_message_may_be_lost_are_rung_for_again(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    sweep(database, memory_queue, settings)
    memory_queue.take()
    age_rings(database)

    sweep(database, memory_queue, settings)

    assert memory_queue.take() == list(job.segments)


def test_a_clock_that_was_set_back_does_not_stop_rings(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    age_rings(database, seconds=-3600)

    sweep(database, memory_queue, settings)

    assert memory_queue.take() == list(job.segments)


def test_no_messages_are_added_to_a_long_queue(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    stored_job(database, [f"{number}.mp4" for number in range(ENOUGH_MESSAGES + 5)])
    sweep(database, memory_queue, settings)
    waiting = memory_queue.depth()
    for _ in range(5):
        age_rings(database)
        sweep(database, memory_queue, settings)

    assert memory_queue.depth() == waiting


def test_rows_whose_messages_wait_for_busy_workers_are_not_rung_for_again(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4", "c.mp4"])
    sweep(database, memory_queue, settings)
    age_rings(database)
    assert sweep(database, memory_queue, settings) == SweepReport(0, 0, 0)
    memory_queue.segments = memory_queue.segments[:1]  # two are lost

    assert sweep(database, memory_queue, settings) == SweepReport(2, 0, 0, without_message=2)

    assert memory_queue.depth() == len(job.segments)


def test_messages_do_not_accumulate_while_no_worker_runs(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    count = ENOUGH_MESSAGES - 1
    for _ in range(count):
        job = stored_job(database)
        finish_segment(database, new_claim(database, job.segments[0]), results([face()]))
    orphans = stored_job(database, [f"{number}.mp4" for number in range(count)])
    for segment_id in orphans.segments:
        new_claim(database, segment_id)
        expire(database, segment_id)
    sweep(database, memory_queue, settings)
    assert memory_queue.depth() == 2 * count
    with database.begin() as session:  # before their messages will have been sent
        session.execute(update(SegmentRow).values(lease_until=now_seconds() - 7200))
    for _ in range(5):
        age_rings(database)
        sweep(database, memory_queue, settings)

    assert memory_queue.depth() == 2 * count

    memory_queue.segments, memory_queue.jobs = [], []  # the broker forgets everything
    sweep(database, memory_queue, settings)
    assert memory_queue.depth() == 2 * count


def test_only_rings_for_work_whose_message_is_missing_count_as_such(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    retried, away, orphan = (stored_job(database).segments[0] for _ in range(3))
    sweep(database, memory_queue, settings)
    memory_queue.take()
    claims = [new_claim(database, segment) for segment in (retried, away, orphan)]
    release_segment(database, claims[0], reason="x", counts=True, delay_seconds=9)
    release_segment(database, claims[1], reason="x", counts=False, delay_seconds=9)
    expire(database, orphan)
    with database.begin() as session:  # all that was an hour ago; the pauses are over
        session.execute(
            update(SegmentRow).values(
                last_rung_at=SegmentRow.last_rung_at - 3600,
                not_before=SegmentRow.not_before - 3000,
            )
        )

    assert sweep(database, memory_queue, settings) == SweepReport(3, 0, 0, without_message=0)

    memory_queue.take()  # these are lost
    age_rings(database)
    with database.begin() as session:
        session.execute(update(SegmentRow).values(not_before=SegmentRow.not_before - 3600))
    assert sweep(database, memory_queue, settings) == SweepReport(3, 0, 0, without_message=2)


def test_an_orphan_is_rung_for_however_long_the_queue_is(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    new_claim(database, job.segments[0])
    memory_queue.segments = [0] * 1000
    assert sweep(database, memory_queue, settings).segments_rung == 0
    expire(database, job.segments[0])

    assert sweep(database, memory_queue, settings).segments_rung == 1
    assert memory_queue.take()[-1] == job.segments[0]
    assert sweep(database, memory_queue, settings).segments_rung == 0, (
        "it is rung for once, not in every round"
    )
    assert new_claim(database, job.segments[0], worker="bob").attempt == 2


def test_the_sweep_waits_before_ringing_for_failed_work(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    release_segment(database, new_claim(database, job.segments[0]), reason="disk full", counts=True)
    assert sweep(database, memory_queue, settings).segments_rung == 0
    release_segment(database, new_claim(database, job.segments[0]), reason="stopping", counts=False)
    assert sweep(database, memory_queue, settings).segments_rung == 1


def test_jobs_whose_exports_nobody_writes_are_rung_for(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())

    assert sweep(database, memory_queue, settings).jobs_rung == 1
    assert sweep(database, memory_queue, settings).jobs_rung == 0
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    age_rings(database)
    assert sweep(database, memory_queue, settings).jobs_rung == 0, "a worker is writing them"
    with database.begin() as session:
        session.execute(update(JobRow).values(lease_until=now_seconds() - 1))
    assert sweep(database, memory_queue, settings).jobs_rung == 1
