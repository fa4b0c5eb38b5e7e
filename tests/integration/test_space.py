"""Jobs that wait for space: they are parked without losing results, and resumed later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from faces_jobs.db.claims.leases import claim_job, renew_segment
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.space import park_job, park_segment, resume_parked
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.errors import LeaseLostError, PausedError
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import cancel_job, get_job, pause_job, resume_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.worker.maintenance.sweep import sweep
from faces_jobs.worker.next_work import take_next_work
from tests.factories import new_claim, results, stored_job
from tests.integration.harness import Harness
from tests.integration.stored_states import expire, states


def no_pause(_parked: int) -> float:
    return 0.0


def test_parking_a_job_costs_no_attempt(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    first, second = (new_claim(database, segment) for segment in job.segments)
    park_segment(database, first, reason="full", pause=no_pause)

    assert states(database, job) == (
        "waiting_for_space",
        ["running", "running"],
        ["queued", "running"],
    )
    with pytest.raises(PausedError, match="space"):
        renew_segment(database, second, lease_seconds=60, frames_done=1, frames_total=None)
    park_segment(database, second, reason="full", pause=no_pause)

    assert resume_parked(database, limit=10) == [job.id]
    assert states(database, job)[0] == "running"
    assert [new_claim(database, segment).attempt for segment in job.segments] == [1, 1]
    with database.read() as session:
        assert session.scalars(select(JobRow.parked)).one() == 1


def test_the_pause_grows_each_time_a_job_is_parked_until_its_user_resumes_it(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    counts = []

    def pause(parked: int) -> float:
        counts.append(parked)
        return 600.0

    def park() -> None:
        park_segment(database, new_claim(database, job.segments[0]), reason="full", pause=pause)

    for _ in range(3):
        park()
        assert resume_parked(database, limit=10) == []
        with database.begin() as session:
            session.execute(update(JobRow).values(not_before=now_seconds() - 1))
        assert resume_parked(database, limit=10) == [job.id]

    park()
    resume_job(database, queue, job.id)
    park()
    assert counts == [1, 2, 3, 4, 1]


def test_a_zombie_cannot_park_a_job(database: Database) -> None:
    job = stored_job(database)
    zombie = new_claim(database, job.segments[0])
    expire(database, job.segments[0])
    new_claim(database, job.segments[0], worker="bob")

    with pytest.raises(LeaseLostError):
        park_segment(database, zombie, reason="full", pause=no_pause)
    assert states(database, job)[0] == "running"


def test_parking_leaves_a_paused_job_paused(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    pause_job(database, job.id)
    park_segment(database, claim, reason="full", pause=no_pause)

    assert states(database, job) == ("paused", ["running"], ["queued"])
    assert resume_parked(database, limit=10) == []


def test_a_parked_job_can_be_paused_and_cancelled(database: Database) -> None:
    for act, state in ((pause_job, "paused"), (cancel_job, "cancelled")):
        job = stored_job(database)
        park_segment(
            database, new_claim(database, job.segments[0]), reason="full", pause=lambda _: 600.0
        )
        act(database, job.id)
        assert states(database, job)[0] == state


def test_exports_wait_for_space_too(database: Database) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    park_job(database, claim, pause=no_pause)

    assert get_job(database, job.id).status == "waiting_for_space"
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is None
    resume_parked(database, limit=10)
    assert get_job(database, job.id).status == "finishing"
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is not None
    with pytest.raises(LeaseLostError):
        park_job(database, claim, pause=no_pause)
    assert get_job(database, job.id).status == "finishing"


def test_the_sweep_resumes_jobs_only_when_there_is_space(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    park_segment(database, new_claim(database, job.segments[0]), reason="full", pause=no_pause)

    full = settings.model_copy(update={"min_free_bytes": 2**62})
    assert sweep(database, queue, full).resumed == 0
    assert get_job(database, job.id).status == "waiting_for_space"

    report = sweep(database, queue, settings)
    assert (report.resumed, report.segments_rung) == (1, 1)
    assert get_job(database, job.id).status == "running"


def test_the_minimum_free_space_is_kept_during_the_work(harness: Harness, clip: Path) -> None:
    job_id = harness.submit(clip)
    storage = LocalStorage(harness.worker.storage.folder)
    worker = replace(harness.worker, storage=storage)

    def fill(batch: int) -> None:
        if batch == 3:
            storage._min_free_bytes = 2**62

    harness.networks.before_batch = fill
    take_next_work(worker)

    assert get_job(worker.database, job_id).status == "waiting_for_space"
    assert harness.files() == [], "no partial file is left"

    storage._min_free_bytes = 0
    sweep(worker.database, worker.queue, worker.settings)
    take_next_work(worker)
    assert get_job(worker.database, job_id).status == "succeeded"
