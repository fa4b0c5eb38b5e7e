"""Counts of rows for the metrics: of all by the sweep, now and then; of open work at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, DeliveryRow, ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.spec import PRIORITY_RANKS
from faces_jobs.jobs.status import (
    ACTIVE_JOBS,
    OPEN_ITEMS,
    OPEN_JOBS,
    OPEN_SEGMENTS,
    ItemStatus,
    JobStatus,
    SegmentStatus,
)

RowCounts = Mapping[tuple[str, str], float]
"""(table, state) to how many rows there are."""


@dataclass(frozen=True, slots=True)
class WaitingSegments:
    """Segments that a worker could take now."""

    count: int
    oldest_seconds: float  # since the job of the oldest was submitted


@dataclass(frozen=True, slots=True)
class LeaseCounts:
    """Claims on segments and on jobs that are being finished."""

    held: int
    expired: int  # their worker is gone, and nobody has taken its work yet


def count_all(database: Database) -> RowCounts:
    """Every job, item, segment and webhook by its state, and bytes of uploads and artifacts.

    Takes as long as there are rows: for the sweep, once a minute or less often.
    """
    counted: dict[tuple[str, str], float] = {}
    with database.read() as session:
        for name, states, column in (
            ("jobs", JobStatus, JobRow.status),
            ("items", ItemStatus, ItemRow.status),
            ("segments", SegmentStatus, SegmentRow.status),
        ):
            counted.update(dict.fromkeys(((name, state.value) for state in states), 0.0))
            counted.update(_by_state(session, name, column))
        uploads = (
            select(func.coalesce(func.sum(ItemRow.bytes), 0))
            .join(JobRow, JobRow.id == ItemRow.job_id)
            .where(JobRow.root.is_(None), ItemRow.source.is_not(None))
        )
        counted["webhooks", "delivered"] = _count(session, DeliveryRow.delivered_at.is_not(None))
        counted["webhooks", "given_up"] = _count(session, DeliveryRow.given_up_at.is_not(None))
        counted["webhooks", "waiting"] = _count(session, DeliveryRow.next_at.is_not(None))
        artifacts = select(func.coalesce(func.sum(ArtifactRow.bytes), 0))
        counted["stored_bytes", "uploads"] = float(session.scalars(uploads).one())
        counted["stored_bytes", "artifacts"] = float(session.scalars(artifacts).one())
    return counted


def count_open(session: Session) -> RowCounts:
    """Those that have not ended, by their state. Asks only for these rows."""
    open_jobs = select(JobRow.id).where(JobRow.status.in_(OPEN_JOBS))
    counted: dict[tuple[str, str], float] = {
        **dict.fromkeys((("jobs", state.value) for state in OPEN_JOBS), 0.0),
        **dict.fromkeys((("items", state.value) for state in OPEN_ITEMS), 0.0),
        **dict.fromkeys((("segments", state.value) for state in OPEN_SEGMENTS), 0.0),
    }
    for name, column, wanted in (
        ("jobs", JobRow.status, JobRow.status.in_(OPEN_JOBS)),
        ("segments", SegmentRow.status, SegmentRow.status.in_(OPEN_SEGMENTS)),
        (
            "items",
            ItemRow.status,
            and_(ItemRow.job_id.in_(open_jobs), ItemRow.status.in_(OPEN_ITEMS)),
        ),
    ):
        counted.update(_by_state(session, name, column, wanted))
    counted["webhooks", "waiting"] = _count(session, DeliveryRow.next_at.is_not(None))
    return counted


def waiting_by_priority(session: Session) -> Mapping[str, WaitingSegments]:
    """Segments that a worker could take now, by the priority of their job."""
    found = session.execute(waiting_statement())
    names = {rank: name for name, rank in PRIORITY_RANKS.items()}
    return {names[row.rank]: WaitingSegments(row.segments, row.oldest) for row in found}


def waiting_statement() -> Select[int, int, float]:
    """The statement behind `waiting_by_priority`."""
    return (
        select(
            JobRow.priority.label("rank"),
            func.count().label("segments"),
            (now_seconds() - func.min(JobRow.created_at)).label("oldest"),
        )
        .select_from(SegmentRow)
        .join(JobRow, JobRow.id == SegmentRow.job_id)
        .where(SegmentRow.status == SegmentStatus.QUEUED, JobRow.status.in_(ACTIVE_JOBS))
        .group_by(JobRow.priority)
    )


def count_leases(session: Session) -> LeaseCounts:
    """Claims that hold, and those whose time has run out."""
    held = expired = 0
    for table, wanted in (
        (SegmentRow, SegmentRow.status == SegmentStatus.RUNNING),
        (JobRow, and_(JobRow.status == JobStatus.FINISHING, JobRow.lease_token.is_not(None))),
    ):
        alive = case((or_(table.lease_until >= now_seconds()), 1), else_=0)
        row = session.execute(
            select(func.count().label("all"), func.coalesce(func.sum(alive), 0).label("alive"))
            .select_from(table)
            .where(wanted)
        ).one()
        held += row.alive
        expired += row.all - row.alive
    return LeaseCounts(held, expired)


def _count(session: Session, wanted: ColumnElement[bool]) -> float:
    return float(session.scalars(select(func.count()).where(wanted)).one())


def _by_state(
    session: Session, name: str, column: InstrumentedAttribute[Any], wanted: Any = None
) -> dict[tuple[str, str], float]:
    statement = select(column.label("state"), func.count().label("rows")).group_by(column)
    if wanted is not None:
        statement = statement.where(wanted)
    found: dict[tuple[str, str], float] = {}
    for row in session.execute(statement):
        state: StrEnum = row.state
        found[name, state.value] = float(row.rows)
    return found
