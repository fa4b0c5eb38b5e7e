"""Queries and updates of the sweep: work to ring for again, and work whose attempts ran out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select, update

from faces_jobs.db.claims.evidence import record_evidence
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import (
    has_active_job,
    has_claimable_exports,
    is_orphaned,
    is_ready,
    is_waiting_for_exports,
)
from faces_jobs.db.jobs.endings import end_job
from faces_jobs.db.segments.endings import end_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, LeaseColumns, SegmentRow
from faces_jobs.errors import PoisonError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus


def waiting_segments(database: Database, *, ring_again_seconds: float, limit: int) -> list[int]:
    """Return waiting segments whose message was not sent yet, or may be lost."""
    found: dict[int, None] = {}
    with database.read() as session:
        # One query for each condition, since each can use an index: combined with OR they would
        # scan all segments that wait.
        for order, needs_ringing in _ringing_conditions(SegmentRow, ring_again_seconds):
            statement = (
                select(SegmentRow.id)
                .where(
                    SegmentRow.status == SegmentStatus.QUEUED,
                    needs_ringing,
                    has_active_job(),
                    is_ready(SegmentRow),
                )
                .order_by(order, SegmentRow.id)
                .limit(limit)
            )
            found |= dict.fromkeys(session.scalars(statement))
    return list(found)[:limit]


def orphaned_segments(
    database: Database, *, ring_again_seconds: float | None, max_attempts: int, limit: int
) -> list[int]:
    """Return segments whose lease expired, and for which no message was sent since.

    Also those whose message may be lost, unless `ring_again_seconds` is None.
    """
    statement = (
        select(SegmentRow.id)
        .where(
            is_orphaned(),
            SegmentRow.attempts < max_attempts,
            has_active_job(),
            is_ready(SegmentRow),
            or_(
                SegmentRow.last_rung_at < SegmentRow.lease_until,
                _needs_ringing(SegmentRow, ring_again_seconds),
            ),
        )
        .order_by(SegmentRow.id)
        .limit(limit)
    )
    with database.read() as session:
        return list(session.scalars(statement))


def waiting_jobs(
    database: Database, *, ring_again_seconds: float | None, max_attempts: int, limit: int
) -> list[str]:
    """Return jobs whose exports wait to be written, and for which no message was sent yet.

    Also those whose message may be lost, unless `ring_again_seconds` is None.
    """
    statement = (
        select(JobRow.id)
        .where(
            has_claimable_exports(max_attempts),
            or_(
                JobRow.last_rung_at < JobRow.lease_until,
                _needs_ringing(JobRow, ring_again_seconds),
            ),
        )
        .order_by(JobRow.created_at)
        .limit(limit)
    )
    with database.read() as session:
        return list(session.scalars(statement))


def mark_segments_rung(database: Database, segment_ids: Sequence[int]) -> None:
    """Record that messages for these segments were sent."""
    if segment_ids:
        _mark_rung(database, SegmentRow.id.in_(segment_ids))


def mark_all_segments_rung(database: Database, job_id: str) -> None:
    """Record that messages for a job's segments were sent."""
    _mark_rung(database, SegmentRow.job_id == job_id)


def _mark_rung(database: Database, which: ColumnElement[bool]) -> None:
    # Locked in the order of ids, as everywhere. A locked row is skipped, since it is being claimed
    # or cancelled.
    free = (
        select(SegmentRow.id)
        .where(which)
        .order_by(SegmentRow.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    with database.begin() as session:
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id.in_(free.scalar_subquery()))
            .values(last_rung_at=now_seconds())
        )


def mark_job_rung(database: Database, job_id: str) -> None:
    """Record that a message for this job was sent."""
    with database.begin() as session:
        session.execute(
            update(JobRow).where(JobRow.id == job_id).values(last_rung_at=now_seconds())
        )


def fail_poisoned_segments(
    database: Database, *, max_attempts: int, limit: int
) -> tuple[int, list[str]]:
    """Fail segments that used up their attempts without a result (poison messages).

    Such a file crashes its worker: if it were retried forever, it would crash all workers. Its item
    fails, the job's other items continue. Returns the number of failed segments, and the jobs that
    are now to be finished.
    """
    orphaned = and_(is_orphaned(), SegmentRow.attempts >= max_attempts)
    # Also waiting ones, since the limit may have been lowered after they were released.
    waiting = and_(
        # As literals: a partial index is only used if the condition's text matches its own.
        SegmentRow.status
        == literal(SegmentStatus.QUEUED, SegmentRow.status.type, literal_execute=True),
        SegmentRow.attempts > literal(0, literal_execute=True),
        SegmentRow.attempts >= max_attempts,
        has_active_job(),
    )
    with database.read() as session:
        found = [
            segment_id
            for poisoned in (orphaned, waiting)
            for segment_id in session.scalars(select(SegmentRow.id).where(poisoned).limit(limit))
        ]
    failed, to_finish = 0, []
    for segment_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(SegmentRow)
                .where(SegmentRow.id == segment_id, or_(orphaned, waiting))
                .with_for_update(key_share=True, skip_locked=True)
            )
            if row is None:  # another sweep was faster, or its worker is writing results after all
                continue
            failed += 1
            record_evidence(session, row)
            if end_segment(session, segment_id=segment_id, error=_poison_error(row)):
                to_finish.append(row.job_id)
    return failed, to_finish


def fail_poisoned_jobs(database: Database, *, max_attempts: int, limit: int) -> int:
    """Fail the exports of jobs that used up their attempts; the jobs' other results are kept."""
    poisoned = and_(is_waiting_for_exports(), JobRow.attempts >= max_attempts)
    with database.read() as session:
        found = list(session.scalars(select(JobRow.id).where(poisoned).limit(limit)))
    failed = 0
    for job_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(JobRow)
                .where(JobRow.id == job_id, poisoned)
                .with_for_update(key_share=True, skip_locked=True)
            )
            if row is None:
                continue
            succeeded = session.scalar(
                select(ItemRow.id)
                .where(ItemRow.job_id == job_id, ItemRow.status == ItemStatus.SUCCEEDED)
                .limit(1)
            )
            record_evidence(session, row)
            status = JobStatus.FAILED if succeeded is None else JobStatus.SUCCEEDED_WITH_ERRORS
            end_job(session, job_id, status, error=_poison_error(row))
            failed += 1
    return failed


def _poison_error(row: SegmentRow | JobRow) -> ErrorDocument:
    reason = row.last_error or "its worker disappeared without reporting an error."
    return ErrorDocument(
        code=PoisonError.code,
        message=f"Given up after {row.attempts} attempts that ended without a result. "
        f"The last one, on worker {row.worker}: {reason}",
    )


def _needs_ringing(
    table: type[LeaseColumns], ring_again_seconds: float | None
) -> ColumnElement[bool]:
    return or_(*(condition for _, condition in _ringing_conditions(table, ring_again_seconds)))


def _ringing_conditions(
    table: type[LeaseColumns], ring_again_seconds: float | None
) -> tuple[tuple[ColumnElement[float], ColumnElement[bool]], ...]:
    """Return the conditions under which a message is to be sent, each with its sort key."""
    now = now_seconds()
    rung: Any = table.last_rung_at
    pause: Any = table.not_before
    due = (
        (rung, rung.is_(None)),  # not sent yet
        (pause, and_(pause <= now, rung < pause)),  # sent before the row's pause, which is over
    )
    if ring_again_seconds is None:
        return due
    return (
        *due,
        (rung, rung < now - ring_again_seconds),  # sent long ago: it may be lost
        (rung, rung > now + ring_again_seconds),  # sent in the future: the clock was set back
    )
