"""The time on hold or without a worker counts neither in a job's rate nor in its time left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from faces_jobs.db.claims.leases import renew_segment
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.jobs.downtime import exclude_downtime
from faces_jobs.db.jobs.space import park_segment, resume_parked
from faces_jobs.db.processes import Process, delete_process, record_heartbeat
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, MeasureRow, ProcessRow, SegmentRow
from faces_jobs.jobs.documents import Progress
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import cancel_job, get_job, list_items, pause_job, resume_job, retry_job
from tests.factories import StoredJob, new_claim, stored_job

HOUR_SECONDS = 3600.0
FRAMES, ALL_FRAMES = 36, 144
# With the hour, the rate would be a hundredth of a frame per second; the test takes no minute.
MIN_RATE = FRAMES / 60
WORKER = Process("carol", "worker", "carols-machine", 7, "1.0")
TIMEOUT_SECONDS = 60.0


def begun_job(database: Database) -> StoredJob:
    """A job whose worker has found the job paused, and released it."""
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    renew_segment(database, claim, lease_seconds=60, frames_done=FRAMES, frames_total=ALL_FRAMES)
    release_segment(database, claim, reason="paused", counts=False)
    return job


def pass_an_hour(database: Database) -> None:
    """Let an hour pass, as seen from the times that are stored."""
    with database.begin() as session:
        for column in (
            JobRow.started_at,
            JobRow.held_at,
            JobRow.ended_at,
            ItemRow.started_at,
            MeasureRow.told_at,
            ProcessRow.started_at,
        ):
            session.execute(update(column.class_).values({column.key: column - HOUR_SECONDS}))


def progress_of(database: Database, job: StoredJob) -> tuple[Progress, Progress]:
    """The progress of a job, and of its only item."""
    return get_job(database, job.id).progress, list_items(database, job.id).items[0].progress


def only_segment(database: Database, job: StoredJob) -> int:
    """The segment of a job that was retried."""
    with database.read() as session:
        return session.scalars(select(SegmentRow.id).where(SegmentRow.job_id == job.id)).one()


def pause(database: Database, queue: CeleryQueue, job: StoredJob) -> None:
    pause_job(database, job.id)
    pass_an_hour(database)
    resume_job(database, queue, job.id)


def wait_for_space(database: Database, _queue: CeleryQueue, job: StoredJob) -> None:
    park_segment(database, new_claim(database, job.segments[0]), reason="", pause=lambda _: 0)
    pass_an_hour(database)
    assert resume_parked(database, limit=9) == [job.id]


def pause_while_it_waits_for_space(database: Database, queue: CeleryQueue, job: StoredJob) -> None:
    park_segment(database, new_claim(database, job.segments[0]), reason="", pause=lambda _: 0)
    pass_an_hour(database)
    pause(database, queue, job)


@pytest.mark.parametrize("hold", [pause, wait_for_space, pause_while_it_waits_for_space])
def test_a_job_that_continues_has_the_rate_of_its_work(
    database: Database,
    queue: CeleryQueue,
    hold: Callable[[Database, CeleryQueue, StoredJob], None],
) -> None:
    job = begun_job(database)
    for _ in range(2):
        hold(database, queue, job)

        for progress in progress_of(database, job):
            assert progress.frames_per_second is not None
            assert progress.frames_per_second > MIN_RATE
            assert progress.eta_seconds is not None
            assert progress.eta_seconds < ALL_FRAMES / MIN_RATE


def test_a_job_that_was_cancelled_on_hold_keeps_its_rate(
    database: Database, queue: CeleryQueue
) -> None:
    job = begun_job(database)
    pause_job(database, job.id)
    pass_an_hour(database)
    cancel_job(database, job.id)
    rate = get_job(database, job.id).progress.frames_per_second
    assert rate is not None
    assert rate > MIN_RATE

    retry_job(database, queue, job.id)
    claim = new_claim(database, only_segment(database, job))
    renew_segment(database, claim, lease_seconds=60, frames_done=0, frames_total=ALL_FRAMES)
    pass_an_hour(database)
    renew_segment(database, claim, lease_seconds=60, frames_done=FRAMES, frames_total=ALL_FRAMES)
    (rate_of_job, _) = (each.frames_per_second for each in progress_of(database, job))
    assert rate_of_job is not None
    assert rate_of_job < MIN_RATE, "an hour of work counts"


def test_a_job_that_was_paused_before_it_began_is_not_credited_for_it(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    pause(database, queue, job)
    claim = new_claim(database, job.segments[0])
    pass_an_hour(database)
    renew_segment(database, claim, lease_seconds=60, frames_done=FRAMES, frames_total=ALL_FRAMES)

    for progress in progress_of(database, job):
        assert progress.frames_per_second is not None
        assert progress.frames_per_second < MIN_RATE


def test_a_job_whose_service_was_stopped_has_the_rate_of_its_work(database: Database) -> None:
    job = begun_job(database)
    workers = [WORKER, replace(WORKER, name="dave")]
    for _ in range(2):
        record_heartbeat(database, WORKER, {("frames", ""): FRAMES})
        for worker in workers:
            delete_process(database, worker.name)
        pass_an_hour(database)
        for worker in workers:  # both start now
            record_heartbeat(database, worker, {})
        for _ in workers:
            exclude_downtime(database, presence_timeout_seconds=TIMEOUT_SECONDS)

        for progress in progress_of(database, job):
            assert progress.frames_per_second is not None
            assert progress.frames_per_second > MIN_RATE
            assert progress.eta_seconds is not None
            assert progress.eta_seconds < ALL_FRAMES / MIN_RATE


def test_the_time_that_another_worker_was_running_counts(database: Database) -> None:
    job = begun_job(database)
    record_heartbeat(database, WORKER, {})
    time.sleep(0.01)
    record_heartbeat(database, WORKER, {("frames", ""): FRAMES})
    pass_an_hour(database)
    exclude_downtime(database, presence_timeout_seconds=TIMEOUT_SECONDS)
    for progress in progress_of(database, job):
        assert progress.frames_per_second is not None
        assert progress.frames_per_second < MIN_RATE


def test_only_the_time_since_a_job_began_is_excluded(database: Database) -> None:
    exclude_downtime(database, presence_timeout_seconds=TIMEOUT_SECONDS)  # nothing was done ever
    record_heartbeat(database, WORKER, {("frames", ""): FRAMES})
    delete_process(database, WORKER.name)
    pass_an_hour(database)
    job = begun_job(database)
    exclude_downtime(database, presence_timeout_seconds=TIMEOUT_SECONDS)
    with database.read() as session:
        held, moved = session.execute(
            select(JobRow.held_seconds, ItemRow.started_at - JobRow.started_at)
            .join(ItemRow, ItemRow.job_id == JobRow.id)
            .where(JobRow.id == job.id)
        ).one()
    assert 0 < held < HOUR_SECONDS
    assert abs(moved or 0) < HOUR_SECONDS
