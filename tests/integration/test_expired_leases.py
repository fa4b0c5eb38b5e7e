"""Work in its last attempt is given up only once its worker had time to renew an expired lease."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from faces_jobs.db.claims.evidence import record_worker_death
from faces_jobs.db.claims.fencing import JobClaim, SegmentClaim
from faces_jobs.db.claims.leases import claim_job, renew_job, renew_segment
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.results import get_job
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.expired_leases import ExpiredLeases
from faces_jobs.worker.maintenance.sweep import run_sweep, sweep
from tests.factories import new_claim, results, stored_job
from tests.integration.memory_queue import MemoryQueue

PATIENCE_SECONDS = 10.0
HOUR_SECONDS = 3600.0


class Sweeps:
    """Rounds of a sweep whose clock is set by the test."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.now = 0.0
        self.queue = MemoryQueue()
        self._database, self._settings = database, settings
        self._leases = ExpiredLeases(PATIENCE_SECONDS, clock=lambda: self.now)

    def given_up_at(self, now: float) -> int:
        """Sweep at this time. Returns how much was given up."""
        self.now = now
        report = sweep(self._database, self.queue, self._settings, expired_leases=self._leases)
        return report.given_up


@pytest.fixture
def sweeps(database: Database, settings: Settings) -> Sweeps:
    return Sweeps(database, settings.model_copy(update={"max_attempts": 1}))


def segment_in_last_attempt(database: Database) -> SegmentClaim:
    return new_claim(database, stored_job(database).segments[0], worker="host-9-a")


def exports_in_last_attempt(database: Database) -> JobClaim:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="host-9-a", lease_seconds=60, max_attempts=1)
    assert claim is not None
    return claim


def pass_an_hour(database: Database) -> None:
    """Let the database's clock run an hour ahead, as seen from what it has stored."""
    with database.begin() as session:
        for table in (SegmentRow, JobRow):
            session.execute(
                update(table)
                .where(table.lease_token.is_not(None))
                .values(lease_until=table.lease_until - HOUR_SECONDS)
            )


def test_a_segment_s_worker_that_lives_keeps_its_last_attempt(
    database: Database, sweeps: Sweeps
) -> None:
    claim = segment_in_last_attempt(database)
    pass_an_hour(database)
    assert sweeps.given_up_at(0) == 0
    assert sweeps.queue.depth() == 0, "nobody may take it over"

    renew_segment(database, claim, lease_seconds=30, frames_done=1, frames_total=None)

    assert sweeps.given_up_at(60) == 0
    pass_an_hour(database)
    assert sweeps.given_up_at(70) == 0, "it starts over with each renewal"
    finish_segment(database, claim, results())


def test_the_worker_that_writes_exports_keeps_its_last_attempt(
    database: Database, sweeps: Sweeps
) -> None:
    claim = exports_in_last_attempt(database)
    pass_an_hour(database)
    assert sweeps.given_up_at(0) == 0

    renew_job(database, claim, lease_seconds=30)

    assert sweeps.given_up_at(60) == 0
    assert get_job(database, claim.job_id).status == "finishing"


def test_work_of_a_dead_worker_is_given_up(database: Database, sweeps: Sweeps) -> None:
    segment, job = segment_in_last_attempt(database), exports_in_last_attempt(database)
    pass_an_hour(database)

    assert [sweeps.given_up_at(now) for now in (0, 9, 10, 20)] == [0, 0, 2, 0]

    assert get_job(database, segment.job_id).status == "finishing"
    assert get_job(database, job.job_id).status == "succeeded_with_errors"


def test_work_of_a_worker_whose_death_was_reported_is_given_up_at_once(
    database: Database, sweeps: Sweeps
) -> None:
    segment_in_last_attempt(database)
    exports_in_last_attempt(database)
    record_worker_death(
        database, worker_prefix="host-9-", reason="it died", exit_signal=None, delay=60
    )

    assert sweeps.given_up_at(0) == 2


def test_a_single_round_waits_for_the_worker(
    database: Database, settings: Settings, database_url: str
) -> None:
    claim = segment_in_last_attempt(database)
    pass_an_hour(database)
    impatient = settings.model_copy(
        update={
            "database_url": database_url,
            "max_attempts": 1,
            "lease_seconds": 0.3,
            "heartbeat_seconds": 0.1,
        }
    )

    run_sweep(impatient, once=True)

    assert get_job(database, claim.job_id).status == "finishing"
