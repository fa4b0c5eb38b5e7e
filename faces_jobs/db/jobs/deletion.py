"""Deletes the rows of jobs: hides a job at once, then deletes its rows in short transactions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.audit import OpenDeletion, record_deletion, record_step
from faces_jobs.db.claims.fencing import lock_all_segments
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_kept
from faces_jobs.db.jobs.row_steps import RowSteps
from faces_jobs.db.moves import move_jobs, move_segments
from faces_jobs.db.session import Database
from faces_jobs.db.tables import (
    AuditRow,
    Base,
    DeliveryRow,
    IdempotencyRow,
    ItemRow,
    JobRow,
    ModelRow,
    SegmentRow,
)
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.status import JobStatus, SegmentStatus

# A worker may be busy with a job although no row has its lease any more (it was taken over, or
# cleared by a pause). It notices the deletion at its next heartbeat.
HEARTBEAT_GRACE_SECONDS = 60.0

_ENDED = [status for status in JobStatus if status.ended]


def expired_jobs(database: Database, *, limit: int) -> list[str]:
    """Return ended jobs whose retention period is over, the longest overdue first."""
    statement = select(JobRow.id).where(_is_expired()).order_by(JobRow.delete_at).limit(limit)
    with database.read() as session:
        return list(session.scalars(statement))


def begin_deletion(
    session: Session, job_id: str, *, why: str, by: str, only_expired: bool = False
) -> int:
    """Hide a job from everybody, and add a line to the audit log. Returns that line's id.

    Workers lose their claims, and what waited to be sent is gone. `delete_rows` does the rest.

    Raises:
        NotFoundError: there is no such job; or, with `only_expired`, its retention period is not
            over, since its user may have retried it meanwhile.
    """
    now = now_seconds()
    lock_all_segments(session, job_id)
    wanted = select(JobRow.id).where(JobRow.id == job_id, is_kept())
    if only_expired:
        wanted = wanted.where(_is_expired())
    if session.scalar(wanted.with_for_update(key_share=True)) is None:
        raise NotFoundError(f"There is no job {job_id}.")
    held_until = _held_until(session, job_id)
    session.execute(
        move_segments(SegmentStatus.CANCELLED, SegmentRow.job_id == job_id, ended_at=now)
    )
    session.execute(move_jobs(JobStatus.CANCELLED, JobRow.id == job_id, ended_at=now))
    session.execute(
        update(JobRow).where(JobRow.id == job_id).values(deleted_at=now, delete_at=None)
    )
    rows = sum(
        _count(session.execute(delete(table).where(table.job_id == job_id)))
        for table in (DeliveryRow, IdempotencyRow)
    )
    return record_deletion(session, job_id, why=why, by=by, rows=rows, held_until=held_until)


def delete_rows(
    database: Database, deletion: OpenDeletion, *, patience_seconds: float = math.inf
) -> bool:
    """Delete the rows of a hidden job step by step; if interrupted, another call goes on with it.

    Returns whether all are deleted; False if its patience was over before.

    Raises:
        DatabaseError: the database does not answer; the steps before are done.
    """
    with database.read() as session:
        if session.scalar(select(JobRow.id).where(JobRow.id == deletion.job_id)) is None:
            return True  # it is the last row to go
    steps = RowSteps(
        database, patience_seconds=patience_seconds, after=partial(_record, deletion.audit_id)
    )
    items = select(ItemRow.id).where(ItemRow.job_id == deletion.job_id)
    models: Any = ModelRow.__table__
    is_done = steps.delete_from(models, models.c.item_id.in_(items)) and all(
        steps.delete_from(table, table.c.job_id == deletion.job_id) for table in _tables_of_jobs()
    )
    with database.begin() as session:
        rows = 0
        if is_done:
            rows = _count(session.execute(delete(JobRow).where(JobRow.id == deletion.job_id)))
        record_step(session, deletion.audit_id, rows=rows, is_last=True)
    return is_done


def rows_left(database: Database, job_id: str) -> int:
    """Return the number of rows that belong to a job, over all tables."""
    with database.read() as session:
        found = session.scalar(select(func.count()).where(JobRow.id == job_id)) or 0
        for table in _tables_of_jobs():
            found += (
                session.scalar(
                    select(func.count()).select_from(table).where(table.c.job_id == job_id)
                )
                or 0
            )
    return found


def _record(audit_id: int, session: Session, rows: int) -> None:
    record_step(session, audit_id, rows=rows)


def _is_expired() -> ColumnElement[bool]:
    return and_(JobRow.delete_at <= now_seconds(), JobRow.status.in_(_ENDED))


def _held_until(session: Session, job_id: str) -> float:
    """Return until when workers may be busy with the job without having noticed its deletion."""
    ends = session.execute(
        select(
            now_seconds() + HEARTBEAT_GRACE_SECONDS,
            select(func.max(SegmentRow.lease_until))
            .where(SegmentRow.job_id == job_id)
            .scalar_subquery(),
            select(JobRow.lease_until).where(JobRow.id == job_id).scalar_subquery(),
        )
    ).one()
    return float(max(end for end in ends if end is not None))


def _tables_of_jobs() -> Sequence[Table]:
    """Return all tables with a job's id but the audit log, in an order that suits foreign keys."""
    return [
        table
        for table in reversed(Base.metadata.sorted_tables)
        if "job_id" in table.c and table.name != AuditRow.__tablename__
    ]


def _count(result: Any) -> int:
    return int(result.rowcount)
