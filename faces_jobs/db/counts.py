"""Counts of rows for the metrics: of all rows (slow, for the sweep), and of open work (fast)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, not_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_kept
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
"""Number of rows by (table, state), or of bytes by ("stored_bytes", kind)."""


@dataclass(frozen=True, slots=True)
class WaitingSegments:
    """The queued segments of one priority."""

    count: int
    oldest_seconds: float  # since the oldest job among them was submitted


@dataclass(frozen=True, slots=True)
class LeaseCounts:
    """The numbers of claims on segments, and on jobs that are being finished."""

    held: int
    expired: int  # not taken over yet


def count_all(database: Database) -> RowCounts:
    """Count all jobs, items, segments and webhooks by state, and bytes of uploads and artifacts.

    Jobs that are being deleted are not counted, except for their bytes, which are still stored.
    This scans whole tables: it is for the sweep, once a minute or less often.
    """
    counted: dict[tuple[str, str], float] = {}
    with database.read() as session:
        deleted = session.scalars(select(JobRow.id).where(not_(is_kept()))).all()
        for name, states, column, job_id in (
            ("jobs", JobStatus, JobRow.status, JobRow.id),
            ("items", ItemStatus, ItemRow.status, ItemRow.job_id),
            ("segments", SegmentStatus, SegmentRow.status, SegmentRow.job_id),
        ):
            counted.update(dict.fromkeys(((name, state.value) for state in states), 0.0))
            counted.update(
                _by_state(session, name, column, job_id.not_in(deleted) if deleted else None)
            )
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
    """Count jobs, items, segments and webhooks that have not ended, by state, along indexes."""
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
    """Return the segments that workers could claim now, by the priority of their job."""
    statement = (
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
    names = {rank: name for name, rank in PRIORITY_RANKS.items()}
    return {
        names[row.rank]: WaitingSegments(row.segments, row.oldest)
        for row in session.execute(statement)
    }


def count_leases(session: Session) -> LeaseCounts:
    """Count the claims whose leases are valid, and those whose leases expired."""
    held = expired = 0
    for table, wanted in (
        (SegmentRow, SegmentRow.status == SegmentStatus.RUNNING),
        (JobRow, and_(JobRow.status == JobStatus.FINISHING, JobRow.lease_token.is_not(None))),
    ):
        valid = case((table.lease_until >= now_seconds(), 1), else_=0)
        row = session.execute(
            select(func.count().label("all"), func.coalesce(func.sum(valid), 0).label("valid"))
            .select_from(table)
            .where(wanted)
        ).one()
        held += row.valid
        expired += row.all - row.valid
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
