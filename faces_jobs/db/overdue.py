"""What waits too long: asked and acted on by the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import has_active_job, is_orphaned, is_ready, is_waiting_for_exports
from faces_jobs.db.evidence import record_evidence
from faces_jobs.db.job_endings import end_job
from faces_jobs.db.segment_endings import end_item
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, LeaseColumns, SegmentRow
from faces_jobs.errors import PoisonError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus


def waiting_segments(database: Database, *, ring_again_seconds: float, limit: int) -> list[int]:
    """Segments that nobody was told of, or so long ago that the message may be lost."""
    found: dict[int, None] = {}
    with database.read() as session:
        # One way after the other: each is a step along an index, all at once a look at every
        # segment that waits.
        for since, unheard in _ringing_conditions(SegmentRow, ring_again_seconds):
            statement = (
                select(SegmentRow.id)
                .where(
                    SegmentRow.status == SegmentStatus.QUEUED,
                    unheard,
                    has_active_job(),
                    is_ready(SegmentRow),
                )
                .order_by(since, SegmentRow.id)
                .limit(limit)
            )
            found |= dict.fromkeys(session.scalars(statement))
    return list(found)[:limit]


def orphaned_segments(
    database: Database, *, ring_again_seconds: float, max_attempts: int, limit: int
) -> list[int]:
    """Segments whose worker let the lease run out, and that nobody was told of since."""
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
    database: Database, *, ring_again_seconds: float, max_attempts: int, limit: int
) -> list[str]:
    """Jobs whose exports nobody writes, and that nobody was told of lately."""
    statement = (
        select(JobRow.id)
        .where(
            is_waiting_for_exports(),
            JobRow.attempts < max_attempts,
            is_ready(JobRow),
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
    """Remember that workers were told."""
    if segment_ids:
        _mark_rung(database, SegmentRow.id.in_(segment_ids))


def mark_all_segments_rung(database: Database, job_id: str) -> None:
    """Remember that workers were told of a job."""
    _mark_rung(database, SegmentRow.job_id == job_id)


def _mark_rung(database: Database, which: ColumnElement[bool]) -> None:
    # In the order in which everybody locks them; a row that somebody else has is passed over: it
    # is worked on, or cancelled.
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
    """Remember that workers were told."""
    with database.begin() as session:
        session.execute(
            update(JobRow).where(JobRow.id == job_id).values(last_rung_at=now_seconds())
        )


def fail_poisoned_segments(
    database: Database, *, max_attempts: int, limit: int
) -> tuple[int, list[str]]:
    """Give up on segments whose attempts all ended without a word.

    Such a file kills its worker: tried for ever, it would take all workers down. Its item fails,
    the job's others go on. Returns how many segments, and the jobs that are now to be finished.
    """
    lost = and_(is_orphaned(), SegmentRow.attempts >= max_attempts)
    # One that waits, too: the limit may have been lowered since it was put back.
    waits = and_(
        # As literals: a partial index serves only a condition that reads as its own does.
        SegmentRow.status
        == literal(SegmentStatus.QUEUED, SegmentRow.status.type, literal_execute=True),
        SegmentRow.attempts > literal(0, literal_execute=True),
        SegmentRow.attempts >= max_attempts,
        has_active_job(),
    )
    with database.read() as session:
        found = [
            segment_id
            for dead in (lost, waits)
            for segment_id in session.scalars(select(SegmentRow.id).where(dead).limit(limit))
        ]
    failed, to_finish = 0, []
    for segment_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(SegmentRow)
                .where(SegmentRow.id == segment_id, or_(lost, waits))
                .with_for_update(key_share=True, skip_locked=True)
            )
            if row is None:  # another sweep was faster, or its worker writes after all
                continue
            failed += 1
            record_evidence(session, row)
            if end_item(session, segment_id=segment_id, error=_poison_error(row)):
                to_finish.append(row.job_id)
    return failed, to_finish


def fail_poisoned_jobs(database: Database, *, max_attempts: int, limit: int) -> int:
    """Give up on exports whose attempts all ended without a word; the rows are kept."""
    dead = and_(
        is_waiting_for_exports(),
        JobRow.attempts >= max_attempts,
    )
    with database.read() as session:
        found = list(session.scalars(select(JobRow.id).where(dead).limit(limit)))
    failed = 0
    for job_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(JobRow)
                .where(JobRow.id == job_id, dead)
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
    said = row.last_error or "its worker vanished without a word."
    return ErrorDocument(
        code=PoisonError.code,
        message=f"Given up after {row.attempts} attempts that ended without a result. "
        f"The last, on worker {row.worker}: {said}",
    )


def _needs_ringing(table: type[LeaseColumns], ring_again_seconds: float) -> ColumnElement[bool]:
    return or_(*(unheard for _, unheard in _ringing_conditions(table, ring_again_seconds)))


def _ringing_conditions(
    table: type[LeaseColumns], ring_again_seconds: float
) -> tuple[tuple[ColumnElement[float], ColumnElement[bool]], ...]:
    """How it may come that nobody comes for a row: since when, and the condition."""
    now = now_seconds()
    rung: Any = table.last_rung_at
    pause: Any = table.not_before
    return (
        (rung, rung.is_(None)),
        (pause, and_(pause <= now, rung < pause)),  # rung before its pause, which is over
        (rung, rung < now - ring_again_seconds),
        # For a clock that was set back: a bell "rung tomorrow" is not waited for.
        (rung, rung > now + ring_again_seconds),
    )
