"""What users do with jobs that are there: who works on them is told, and nothing is lost."""

from __future__ import annotations

import pytest

from faces_jobs import results as questions
from faces_jobs.db.job_endings import finish_job
from faces_jobs.db.leases import claim_job, claim_segment, renew_job, renew_segment
from faces_jobs.db.release import release_segment
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, PausedError, StateError
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue import CeleryQueue
from faces_jobs.settings import Settings
from faces_jobs.worker.sweep import sweep
from tests.factories import StoredJob, claimed, results, stored_job
from tests.integration.races import at_once
from tests.integration.stored_states import expire, states


def is_to_be_had(database: Database, segment_id: int) -> bool:
    claim = claim_segment(database, segment_id, worker="w", lease_seconds=60, max_attempts=3)
    return claim is not None


def ended_job(database: Database) -> StoredJob:
    job = stored_job(database)
    finish_segment(database, claimed(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=9, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])
    return job


def test_a_paused_job_is_not_to_be_had_until_it_is_resumed(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)

    assert questions.pause_job(database, job.id).status is JobStatus.PAUSED
    assert not is_to_be_had(database, job.segments[0])

    assert questions.resume_job(database, queue, job.id).status is JobStatus.QUEUED
    assert queue.depth() == 1, "workers are told at once"
    assert is_to_be_had(database, job.segments[0])


def test_who_works_on_a_paused_job_is_told_and_hands_back_for_nothing(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    claim = claimed(database, job.segments[0])
    questions.pause_job(database, job.id)

    with pytest.raises(PausedError):
        renew_segment(database, claim, lease_seconds=60, frames_done=3, frames_total=9)
    release_segment(database, claim, reason="paused", counts=False)

    assert states(database, job) == ("paused", ["running"], ["queued"])
    assert not is_to_be_had(database, job.segments[0])
    assert questions.resume_job(database, queue, job.id).status is JobStatus.RUNNING
    assert claimed(database, job.segments[0]).attempt == 1


def test_what_ends_while_its_job_is_paused_is_kept(database: Database, queue: CeleryQueue) -> None:
    job = stored_job(database)
    claim = claimed(database, job.segments[0])
    questions.pause_job(database, job.id)

    assert not finish_segment(database, claim, results()), "exports wait, too"

    assert states(database, job) == ("paused", ["succeeded"], ["succeeded"])
    assert questions.resume_job(database, queue, job.id).status is JobStatus.FINISHING
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is not None


def test_exports_that_were_being_written_are_begun_again(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    finish_segment(database, claimed(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    questions.pause_job(database, job.id)

    with pytest.raises(PausedError):
        renew_job(database, claim, lease_seconds=60)
    with pytest.raises(PausedError):
        finish_job(database, claim, [])

    assert questions.resume_job(database, queue, job.id).status is JobStatus.FINISHING
    again = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert again is not None
    assert again.attempt == 1


def test_the_sweep_does_not_ring_for_what_is_held(
    database: Database, queue: CeleryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    claimed(database, job.segments[0])
    expire(database, job.segments[0])
    questions.pause_job(database, job.id)

    assert sweep(database, queue, settings).segments_rung == 0
    questions.resume_job(database, queue, job.id)
    assert sweep(database, queue, settings).segments_rung == 2


def test_saying_it_twice_is_well_and_after_the_end_is_not(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    questions.pause_job(database, job.id)
    assert questions.pause_job(database, job.id).status is JobStatus.PAUSED
    questions.resume_job(database, queue, job.id)
    assert questions.resume_job(database, queue, job.id).status is JobStatus.QUEUED

    ended = ended_job(database)
    with pytest.raises(StateError, match="already ended"):
        questions.pause_job(database, ended.id)
    with pytest.raises(StateError, match="already ended"):
        questions.resume_job(database, queue, ended.id)
    with pytest.raises(NotFoundError):
        questions.pause_job(database, "no-such-job")
    with pytest.raises(NotFoundError):
        questions.resume_job(database, queue, "no-such-job")


def test_a_paused_job_can_be_cancelled(database: Database) -> None:
    job = stored_job(database)
    questions.pause_job(database, job.id)

    assert questions.cancel_job(database, job.id).status is JobStatus.CANCELLED
    assert states(database, job) == ("cancelled", ["cancelled"], ["cancelled"])


def test_a_claim_and_a_pause_at_once(database: Database) -> None:
    for _ in range(5):
        job = stored_job(database)
        outcomes = at_once(
            lambda job=job: claim_segment(  # type: ignore[misc]  # mypy can't see through it
                database, job.segments[0], worker="w", lease_seconds=60, max_attempts=3
            ),
            lambda job=job: questions.pause_job(database, job.id),  # type: ignore[misc]  # the same
        )

        assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert states(database, job)[0] == "paused"
        claim = outcomes[0]
        if claim is not None:
            with pytest.raises(PausedError):
                renew_segment(database, claim, lease_seconds=9, frames_done=0, frames_total=None)  # type: ignore[arg-type]  # it is one
