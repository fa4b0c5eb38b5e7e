"""Queries and updates of the sweep: work to ring for, again or for the first time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import (
    has_active_job,
    has_claimable_exports,
    is_orphaned,
    is_ready,
)
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, LeaseColumns, SegmentRow
from faces_jobs.jobs.status import SegmentStatus


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


def count_without_message(
    database: Database,
    table: type[SegmentRow | JobRow],
    ids: Collection[int | str],
    *,
    ring_again_seconds: float,
) -> int:
    """Count those of these rows whose message was never sent, or seems lost.

    Not the others that are rung for: a pause of theirs is over, or their worker's lease is.
    """
    if not ids:
        return 0
    found = select(func.count()).where(
        table.id.in_(ids), _has_no_message(table, ring_again_seconds)
    )
    with database.read() as session:
        return session.scalars(found).one()


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


def _needs_ringing(
    table: type[LeaseColumns], ring_again_seconds: float | None
) -> ColumnElement[bool]:
    return or_(*(condition for _, condition in _ringing_conditions(table, ring_again_seconds)))


def _has_no_message(table: type[LeaseColumns], ring_again_seconds: float) -> ColumnElement[bool]:
    rung: Any = table.last_rung_at
    pause: Any = table.not_before
    seems_lost = or_(*_lost_conditions(rung, ring_again_seconds))
    return and_(
        table.lease_token.is_(None),
        # Work that had to pause has no message until then, on purpose.
        or_(
            and_(pause.is_(None), or_(rung.is_(None), seems_lost)), and_(rung >= pause, seems_lost)
        ),
    )


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
    return (*due, *((rung, lost) for lost in _lost_conditions(rung, ring_again_seconds)))


def _lost_conditions(rung: Any, ring_again_seconds: float) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions under which the message that was sent at `rung` may be lost."""
    now = now_seconds()
    return (
        rung < now - ring_again_seconds,  # sent long ago
        rung > now + ring_again_seconds,  # sent in the future: the clock was set back
    )
