"""Claims and renewals: who gets a segment, for how long, and its progress."""

from __future__ import annotations

from sqlalchemy import select

from faces_jobs import results as results_api
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_segment
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.status import SegmentStatus
from tests.factories import new_claim, results, stored_job
from tests.integration.races import run_concurrently
from tests.integration.stored_states import expire, states


def test_claiming_starts_segment_item_and_job(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.png"])

    claim = new_claim(database, job.segments[0])

    assert states(database, job) == ("running", ["running", "queued"], ["running", "queued"])
    assert (claim.item_id, claim.job_id, claim.attempt) == (job.items[0], job.id, 1)
    assert claim.item_name == "a.mp4"
    assert claim.spec.gender


def test_a_claimed_segment_is_not_available(database: Database) -> None:
    job = stored_job(database)
    new_claim(database, job.segments[0])

    again = claim_segment(database, job.segments[0], worker="bob", lease_seconds=60, max_attempts=3)

    assert again is None


def test_one_of_many_concurrent_claims_succeeds(database: Database) -> None:
    job = stored_job(database)

    def claim() -> object:
        return claim_segment(
            database, job.segments[0], worker="w", lease_seconds=60, max_attempts=3
        )

    outcomes = run_concurrently(*[claim] * 8)

    assert sum(outcome is not None for outcome in outcomes) == 1
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]


def test_an_unknown_segment_is_not_available(database: Database) -> None:
    assert claim_segment(database, 999, worker="w", lease_seconds=1, max_attempts=3) is None


def test_a_segment_whose_lease_expired_is_taken_over(database: Database) -> None:
    job = stored_job(database)
    first = new_claim(database, job.segments[0], worker="alice")
    expire(database, job.segments[0])

    second = new_claim(database, job.segments[0], worker="bob")

    assert second.attempt == 2
    assert second.token != first.token


def test_a_segment_is_not_claimed_more_often_than_allowed(database: Database) -> None:
    job = stored_job(database)
    for _ in range(3):
        new_claim(database, job.segments[0])
        expire(database, job.segments[0])

    assert (
        claim_segment(database, job.segments[0], worker="w", lease_seconds=1, max_attempts=3)
        is None
    )


def test_renewing_reports_progress_and_keeps_the_lease(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])

    renew_segment(database, claim, lease_seconds=60, frames_done=30, frames_total=120)

    document = results_api.get_job(database, job.id)
    assert document.started_at is not None
    (item,) = results_api.list_items(database, job.id).items
    for progress in (document.progress, item.progress):
        assert (progress.frames_done, progress.frames_total, progress.fraction) == (30, 120, 0.25)
        assert progress.frames_per_second is not None
        assert progress.eta_seconds is not None


def test_progress_does_not_go_back_when_an_attempt_restarts(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    renew_segment(database, claim, lease_seconds=60, frames_done=30, frames_total=120)
    expire(database, job.segments[0])
    again = new_claim(database, job.segments[0])
    renew_segment(database, again, lease_seconds=60, frames_done=5, frames_total=120)

    assert results_api.get_job(database, job.id).progress.frames_done == 30


def test_an_expired_lease_that_nobody_took_over_can_be_renewed(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    expire(database, job.segments[0])

    renew_segment(database, claim, lease_seconds=60, frames_done=1, frames_total=None)

    assert (
        claim_segment(database, job.segments[0], worker="w", lease_seconds=1, max_attempts=3)
        is None
    )


def test_exports_are_written_by_one_worker_at_a_time(database: Database) -> None:
    job = stored_job(database)
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3) is None
    finish_segment(database, new_claim(database, job.segments[0]), results())

    def claim() -> object:
        return claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)

    outcomes = run_concurrently(*[claim] * 4)
    assert sum(outcome is not None for outcome in outcomes) == 1


def test_states_are_stored_by_name(database: Database) -> None:
    job = stored_job(database)
    with database.read() as session:
        assert session.scalars(select(SegmentRow.status)).one() is SegmentStatus.QUEUED
    assert states(database, job)[0] == "queued"
