"""Deletes the rows of jobs, and keeps an audit log that tracks the deletion of their files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import lock_all_segments
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.retry_delays import retry_delay_after
from faces_jobs.db.session import Database
from faces_jobs.db.tables import (
    ArtifactRow,
    AuditRow,
    Base,
    FaceRow,
    ItemRow,
    JobRow,
    ModelRow,
    SegmentRow,
    TrackRow,
)
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.status import JobStatus

JOB_DELETED = "job_deleted"
# A worker may be busy with a job although no row has its lease any more (it was taken over, or
# cleared by a pause). It notices the deletion at its next heartbeat.
HEARTBEAT_GRACE_SECONDS = 60.0
# Limits of one DELETE statement, except for a single item with more faces.
MAX_ITEMS_PER_DELETE = 1000
MAX_FACES_PER_DELETE = 100_000

_ENDED = [status for status in JobStatus if status.ended]


@dataclass(frozen=True, slots=True)
class OpenDeletion:
    """A deletion whose rows are gone, and whose files are not yet verified to be gone."""

    audit_id: int
    job_id: str
    held: bool  # workers may still be busy with the job


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A line of the audit log: what was deleted, why, by whom, and whether it was verified."""

    id: int
    at: float
    what: str
    job_id: str
    why: str
    by: str
    rows: int
    files: int
    bytes: int
    attempts: int
    verified_at: float | None
    last_error: str | None


def expired_jobs(database: Database, *, limit: int) -> list[str]:
    """Return ended jobs whose retention period is over, the longest overdue first."""
    statement = select(JobRow.id).where(_is_expired()).order_by(JobRow.delete_at).limit(limit)
    with database.read() as session:
        return list(session.scalars(statement))


def delete_rows(
    session: Session, job_id: str, *, why: str, by: str, only_expired: bool = False
) -> int:
    """Delete every row of a job and add a line to the audit log. Returns that line's id.

    Raises:
        NotFoundError: there is no such job; or, with `only_expired`, its retention period is not
            over, since its user may have retried it meanwhile.
    """
    lock_all_segments(session, job_id)
    items = session.execute(
        select(ItemRow.id, ItemRow.face_count)
        .where(ItemRow.job_id == job_id)
        .order_by(ItemRow.id)
        .with_for_update(key_share=True)
    ).all()
    wanted = select(JobRow.id).where(JobRow.id == job_id)
    if only_expired:
        wanted = wanted.where(_is_expired())
    if session.scalar(wanted.with_for_update()) is None:
        raise NotFoundError(f"There is no job {job_id}.")
    held_until = _held_until(session, job_id)
    rows = 0
    for item_ids in _item_batches([(item.id, item.face_count or 0) for item in items]):
        for table in (FaceRow, TrackRow, ModelRow, ArtifactRow):
            rows += _count(session.execute(delete(table).where(table.item_id.in_(item_ids))))
    for other in _tables_of_jobs():
        rows += _count(session.execute(delete(other).where(other.c.job_id == job_id)))
    deleted = _count(session.execute(delete(JobRow).where(JobRow.id == job_id)))
    return session.scalars(
        insert(AuditRow)
        .values(
            at=now_seconds(),
            what=JOB_DELETED,
            job_id=job_id,
            why=why,
            by=by,
            rows=rows + deleted,
            files=0,
            bytes=0,
            held_until=held_until,
            attempts=0,
            next_at=now_seconds(),
        )
        .returning(AuditRow.id)
    ).one()


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


def open_deletions(
    database: Database, *, limit: int, audit_id: int | None = None
) -> list[OpenDeletion]:
    """Return deletions that were not verified yet and whose next check is due."""
    now = now_seconds()
    which = AuditRow.next_at <= now if audit_id is None else AuditRow.id == audit_id
    statement = (
        select(
            AuditRow.id,
            AuditRow.job_id,
            and_(AuditRow.held_until.is_not(None), AuditRow.held_until > now).label("held"),
        )
        .where(which, AuditRow.verified_at.is_(None))
        .order_by(AuditRow.next_at, AuditRow.id)
        .limit(limit)
    )
    with database.read() as session:
        return [
            OpenDeletion(row.id, row.job_id, bool(row.held)) for row in session.execute(statement)
        ]


def record_check(
    database: Database, deletion: OpenDeletion, *, files: int, bytes_: int, problem: str | None
) -> None:
    """Record a check of a deletion; without a `problem` it is verified to be complete.

    `files` and `bytes_` are what this check deleted.
    """
    now = now_seconds()
    values: dict[str, Any] = {
        "files": AuditRow.files + files,
        "bytes": AuditRow.bytes + bytes_,
        "attempts": AuditRow.attempts + 1,
        "last_error": problem,
        "verified_at": now if problem is None else None,
        "next_at": None if problem is None else now + retry_delay_after(AuditRow.attempts),
    }
    with database.begin() as session:
        session.execute(
            update(AuditRow)
            .where(AuditRow.id == deletion.audit_id, AuditRow.verified_at.is_(None))
            .values(**values)
        )


def read_audit(
    database: Database, *, job_id: str | None, before: int | None, limit: int
) -> list[AuditEntry]:
    """Return lines of the audit log, newest first; of one job, or with ids below `before`."""
    statement = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if job_id is not None:
        statement = statement.where(AuditRow.job_id == job_id)
    if before is not None:
        statement = statement.where(AuditRow.id < before)
    with database.read() as session:
        return [
            AuditEntry(
                id=row.id,
                at=row.at,
                what=row.what,
                job_id=row.job_id,
                why=row.why,
                by=row.by,
                rows=row.rows,
                files=row.files,
                bytes=row.bytes,
                attempts=row.attempts,
                verified_at=row.verified_at,
                last_error=row.last_error,
            )
            for row in session.scalars(statement)
        ]


def _is_expired() -> ColumnElement[bool]:
    return and_(JobRow.delete_at <= now_seconds(), JobRow.status.in_(_ENDED))


def _item_batches(items: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Split (item id, face count) pairs into batches of ids for one DELETE statement each.

    With a statement for each item, a folder of ten thousand photographs would block SQLite for
    long; with a single one, a few long videos would.
    """
    batch: list[int] = []
    faces = 0
    for item_id, count in items:
        if batch and (len(batch) == MAX_ITEMS_PER_DELETE or faces + count > MAX_FACES_PER_DELETE):
            yield batch
            batch, faces = [], 0
        batch.append(item_id)
        faces += count
    if batch:
        yield batch


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
