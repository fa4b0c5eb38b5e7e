"""Leases and pauses that the database's clock, after it was set back, would not reach for long.

A machine may start with a clock that is years ahead. What it writes until the clock is corrected
would be stuck as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, inspect, select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.deletion import HEARTBEAT_GRACE_SECONDS
from faces_jobs.db.retry_delays import MAX_DELAY_SECONDS
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow, Base, DeliveryRow, JobRow, SegmentRow
from faces_jobs.jobs.status import JobStatus, SegmentStatus

# Times the longest that is ever written. Generous, since processes may have different settings.
FACTOR = 10.0


class _Time(NamedTuple):
    """A column that holds a time in the near future."""

    table: type[Base]
    name: str
    in_use: ColumnElement[bool]  # the rows in which it has a meaning
    longest_seconds: float  # how far ahead it may be
    new_seconds: float  # how far ahead it is set if it is further


def correct_future_times(
    database: Database, *, lease_seconds: float, pause_seconds: float, limit: int
) -> int:
    """Let leases expire soon, and pauses now, that lie too far ahead. Returns how many.

    The worker of such a lease renews it, if it is alive.
    """
    corrected = 0
    for time in _times(lease_seconds, pause_seconds):
        column: Any = getattr(time.table, time.name)
        (key,) = inspect(time.table).primary_key
        late = select(key).where(
            time.in_use,
            column.is_not(None),  # implied; with it PostgreSQL uses the partial index
            column > now_seconds() + FACTOR * time.longest_seconds,
        )
        with database.read() as session:  # hardly ever more than this query
            if session.scalar(late.limit(1)) is None:
                continue
        free = late.order_by(key).limit(limit).with_for_update(key_share=True, skip_locked=True)
        with database.begin() as session:
            changed = session.scalars(
                update(time.table)
                .where(key.in_(free.scalar_subquery()))
                .values({time.name: now_seconds() + time.new_seconds})
                .returning(key)
            )
            corrected += len(changed.all())
    return corrected


def _times(lease: float, pause: float) -> Iterator[_Time]:
    running = and_(
        SegmentRow.status == SegmentStatus.RUNNING,
        SegmentRow.lease_token.is_not(None),  # implied; selects the partial index
    )
    finishing = and_(JobRow.status == JobStatus.FINISHING, JobRow.lease_token.is_not(None))
    waiting = JobRow.status.in_((JobStatus.FINISHING, JobStatus.WAITING_FOR_SPACE))
    sending, deleting = DeliveryRow.next_at.is_not(None), AuditRow.next_at.is_not(None)
    held = lease + HEARTBEAT_GRACE_SECONDS
    yield _Time(SegmentRow, "lease_until", running, lease, lease)
    yield _Time(SegmentRow, "not_before", SegmentRow.status == SegmentStatus.QUEUED, pause, 0.0)
    yield _Time(JobRow, "lease_until", finishing, lease, lease)
    yield _Time(JobRow, "not_before", waiting, pause, 0.0)
    yield _Time(DeliveryRow, "lease_until", sending, MAX_DELAY_SECONDS, 0.0)
    yield _Time(DeliveryRow, "next_at", sending, MAX_DELAY_SECONDS, 0.0)
    yield _Time(AuditRow, "held_until", deleting, held, held)
    yield _Time(AuditRow, "next_at", deleting, MAX_DELAY_SECONDS, 0.0)
