"""A database whose clock was years ahead, and was then corrected, leaves nothing stuck."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from faces_jobs.counters import Counters
from faces_jobs.db.claims.leases import claim_job, renew_segment
from faces_jobs.db.claims.release import release_job, release_segment
from faces_jobs.db.claims.scheduling import claim_next, delete_old_turns
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.deliveries import due_deliveries
from faces_jobs.db.jobs.space import park_segment
from faces_jobs.db.processes import (
    Process,
    delete_silent_processes,
    live_processes,
    record_heartbeat,
)
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import (
    AuditRow,
    Base,
    DeliveryRow,
    JobRow,
    ProcessRow,
    SegmentRow,
    TurnRow,
)
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import cancel_job, get_job
from faces_jobs.retention import complete_deletions, delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.worker.maintenance.sweep import sweep
from tests.factories import new_claim, results, stored_job
from tests.integration.memory_queue import MemoryQueue
from tests.integration.stored_states import expire

YEAR_SECONDS = 365 * 24 * 3600.0


def put_ahead(database: Database, table: type[Base], *names: str) -> None:
    """Make these columns such as a clock that is a year ahead would have written them."""
    values: dict[str, Any] = {name: getattr(table, name) + YEAR_SECONDS for name in names}
    with database.begin() as session:
        session.execute(update(table).values(values))


def lease_left(database: Database) -> float:
    """Return the seconds that are left of the only segment's lease."""
    with database.read() as session:
        left = session.scalars(select(SegmentRow.lease_until - now_seconds())).one()
    assert left is not None
    return left


def test_a_lease_of_a_dead_worker_expires(database: Database, settings: Settings) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0], lease_seconds=settings.lease_seconds)
    put_ahead(database, SegmentRow, "lease_until", "last_rung_at")

    sweep(database, MemoryQueue(), settings)

    left = lease_left(database)
    assert 0 < left <= settings.lease_seconds
    renew_segment(database, claim, lease_seconds=60, frames_done=1, frames_total=None)
    expire(database, job.segments[0])
    assert new_claim(database, job.segments[0], worker="bob").attempt == 2


def test_pauses_of_segments_jobs_and_exports_end(database: Database, settings: Settings) -> None:
    failed, parked, finishing = (stored_job(database) for _ in range(3))
    claim = new_claim(database, failed.segments[0])
    release_segment(database, claim, reason="", counts=True, delay_seconds=60)
    park_segment(database, new_claim(database, parked.segments[0]), reason="", pause=lambda _: 60)
    finish_segment(database, new_claim(database, finishing.segments[0]), results())
    exports = claim_job(database, finishing.id, worker="a", lease_seconds=60, max_attempts=3)
    assert exports is not None
    release_job(database, exports, reason="", counts=True, delay_seconds=60)
    put_ahead(database, SegmentRow, "not_before", "last_rung_at")
    put_ahead(database, JobRow, "not_before", "last_rung_at")
    queue = MemoryQueue()

    sweep(database, queue, settings)

    assert get_job(database, parked.id).status == "running"
    assert set(queue.segments) == {failed.segments[0], parked.segments[0]}
    assert queue.jobs == [finishing.id]


def test_webhooks_are_sent_and_deletions_verified(
    database: Database, settings: Settings, storage: LocalStorage
) -> None:
    job = stored_job(database, spec=JobSpec(webhook="https://example.org/"))
    cancel_job(database, job.id)
    gone = stored_job(database)
    token = new_claim(database, gone.segments[0]).token
    with storage.workspace(token):
        assert not delete_job(gone.id, database=database, storage=storage)
        put_ahead(database, AuditRow, "held_until", "next_at")
        put_ahead(database, DeliveryRow, "next_at")

        sweep(database, MemoryQueue(), settings)

    assert len(due_deliveries(database, limit=9)) == 1
    assert complete_deletions(database, storage) == 0
    with database.read() as session:
        assert session.scalars(select(AuditRow.verified_at)).one() is not None


def test_owners_keep_their_turns_and_dead_processes_are_forgotten(database: Database) -> None:
    stored_job(database, owner="a")
    assert claim_next(database, worker="w", lease_seconds=60, max_attempts=3) is not None
    record_heartbeat(database, Process("w", "worker", "host", 1, "0"), Counters().take())
    put_ahead(database, TurnRow, "served_at")
    put_ahead(database, ProcessRow, "seen_at")

    delete_old_turns(database, older_than_seconds=3600)
    assert delete_silent_processes(database, presence_timeout_seconds=20) == ["w"]

    assert live_processes(database, within_seconds=20) == []
    with database.read() as session:
        assert session.scalars(select(TurnRow)).all() == []


def test_times_that_are_not_too_far_ahead_are_kept(database: Database, settings: Settings) -> None:
    job = stored_job(database)
    new_claim(database, job.segments[0], lease_seconds=2 * settings.lease_seconds)

    sweep(database, MemoryQueue(), settings)

    left = lease_left(database)
    assert left > settings.lease_seconds
