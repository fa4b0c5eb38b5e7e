"""Pausing, resuming and cancelling jobs: workers notice, and no result is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Update

from faces_jobs import results as results_api
from faces_jobs.db.claims import leases
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_job, renew_segment
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.moves import move_items
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, PausedError, StateError
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.sweep import sweep
from tests.factories import StoredJob, new_claim, results, stored_job
from tests.integration.races import run_concurrently
from tests.integration.stored_states import expire, states


def try_claim(database: Database, segment_id: int) -> bool:
    """Claim a segment. Returns whether it was available."""
    claim = claim_segment(database, segment_id, worker="w", lease_seconds=60, max_attempts=3)
    return claim is not None


def ended_job(database: Database) -> StoredJob:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=9, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])
    return job


def test_a_paused_job_is_not_available_until_it_is_resumed(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)

    assert results_api.pause_job(database, job.id).status is JobStatus.PAUSED
    assert not try_claim(database, job.segments[0])

    assert results_api.resume_job(database, queue, job.id).status is JobStatus.QUEUED
    assert queue.depth() == 1, "workers are notified immediately"
    assert try_claim(database, job.segments[0])


def test_the_worker_of_a_paused_job_notices_and_releases_at_no_cost(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    results_api.pause_job(database, job.id)

    with pytest.raises(PausedError):
        renew_segment(database, claim, lease_seconds=60, frames_done=3, frames_total=9)
    release_segment(database, claim, reason="paused", counts=False)

    assert states(database, job) == ("paused", ["running"], ["queued"])
    assert not try_claim(database, job.segments[0])
    assert results_api.resume_job(database, queue, job.id).status is JobStatus.RUNNING
    assert new_claim(database, job.segments[0]).attempt == 1


def test_results_that_arrive_while_the_job_is_paused_are_kept(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    results_api.pause_job(database, job.id)

    assert not finish_segment(database, claim, results()), "the exports wait as well"

    assert states(database, job) == ("paused", ["succeeded"], ["succeeded"])
    assert results_api.resume_job(database, queue, job.id).status is JobStatus.FINISHING
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is not None


def test_a_pause_restarts_exports_that_were_being_written(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    results_api.pause_job(database, job.id)

    with pytest.raises(PausedError):
        renew_job(database, claim, lease_seconds=60)
    with pytest.raises(PausedError):
        finish_job(database, claim, [])

    assert results_api.resume_job(database, queue, job.id).status is JobStatus.FINISHING
    again = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert again is not None
    assert again.attempt == 1


def test_the_sweep_does_not_ring_for_a_paused_job(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    new_claim(database, job.segments[0])
    expire(database, job.segments[0])
    results_api.pause_job(database, job.id)

    assert sweep(database, queue, settings).segments_rung == 0
    results_api.resume_job(database, queue, job.id)  # rings for the one that waits
    assert sweep(database, queue, settings).segments_rung == 1
    assert queue.depth() == len(job.segments)


def test_pausing_or_resuming_twice_is_allowed_but_not_after_the_end(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    results_api.pause_job(database, job.id)
    assert results_api.pause_job(database, job.id).status is JobStatus.PAUSED
    results_api.resume_job(database, queue, job.id)
    assert results_api.resume_job(database, queue, job.id).status is JobStatus.QUEUED

    ended = ended_job(database)
    with pytest.raises(StateError, match="already ended"):
        results_api.pause_job(database, ended.id)
    with pytest.raises(StateError, match="already ended"):
        results_api.resume_job(database, queue, ended.id)
    with pytest.raises(NotFoundError):
        results_api.pause_job(database, "no-such-job")
    with pytest.raises(NotFoundError):
        results_api.resume_job(database, queue, "no-such-job")


def test_a_paused_job_can_be_cancelled(database: Database) -> None:
    job = stored_job(database)
    results_api.pause_job(database, job.id)

    assert results_api.cancel_job(database, job.id).status is JobStatus.CANCELLED
    assert states(database, job) == ("cancelled", ["cancelled"], ["cancelled"])


def test_a_concurrent_claim_and_pause_leave_the_job_paused(database: Database) -> None:
    for _ in range(5):
        job = stored_job(database)
        outcomes = run_concurrently(
            lambda job=job: claim_segment(  # type: ignore[misc]  # mypy can't infer the lambda
                database, job.segments[0], worker="w", lease_seconds=60, max_attempts=3
            ),
            lambda job=job: results_api.pause_job(database, job.id),  # type: ignore[misc]  # the same
        )

        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert states(database, job)[0] == "paused"
        claim = outcomes[0]
        if claim is not None:
            with pytest.raises(PausedError):
                renew_segment(database, claim, lease_seconds=9, frames_done=0, frames_total=None)  # type: ignore[arg-type]  # a claim


def test_a_job_that_is_paused_during_its_first_claim_runs_once_it_is_resumed(
    database: Database, queue: CeleryQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time: nothing happens during a claim")
    job = stored_job(database)

    def pause_and_move(*arguments: Any, **values: Any) -> Update:
        results_api.pause_job(database, job.id)
        return move_items(*arguments, **values)

    monkeypatch.setattr(leases, "move_items", pause_and_move)
    assert try_claim(database, job.segments[0])
    assert states(database, job) == ("paused", ["running"], ["running"])

    resumed = results_api.resume_job(database, queue, job.id)

    assert resumed.status is JobStatus.RUNNING
    assert resumed.started_at is not None
