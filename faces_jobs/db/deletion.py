"""Deletes every row of a job, and keeps one line that says so until the files are gone too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, delete, func, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.backoff import backoff_after
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs import lock_segments
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
# Some have no lease in the rows any more: it was taken over, or wiped by a pause. They hear of it
# at their next heartbeat.
HEARTBEAT_GRACE_SECONDS = 60.0
# Of one statement that deletes; an item may have more faces.
MAX_ITEMS_PER_DELETE = 1000
MAX_FACES_PER_DELETE = 100_000

_ENDED = [status for status in JobStatus if status.ended]


@dataclass(frozen=True, slots=True)
class OpenDeletion:
    """A deletion whose rows are gone, and whose files are still to be seen gone."""

    audit_id: int
    job_id: str
    held: bool  # who worked on the job may not have heard of it yet


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was deleted, why, by whom, and whether it was seen to be gone."""

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
    """Ended jobs whose time to be kept is over, the longest overdue first."""
    statement = select(JobRow.id).where(_is_expired()).order_by(JobRow.delete_at).limit(limit)
    with database.read() as session:
        return list(session.scalars(statement))


def delete_rows(
    session: Session, job_id: str, *, why: str, by: str, only_expired: bool = False
) -> int:
    """Delete every row of a job and write the line of the audit. Returns that line's number.

    Raises:
        NotFoundError: no such job; or, with `only_expired`, none whose time is over: its user may
            have retried it meanwhile.
    """
    lock_segments(session, job_id)
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
    """How many rows speak of a job, over every table that could."""
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
    """Deletions that were not seen to be complete and whose time for another look has come."""
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
    """Store what a look at a deletion's files found: no `problem` means that all is gone."""
    now = now_seconds()
    values: dict[str, Any] = {
        "files": AuditRow.files + files,
        "bytes": AuditRow.bytes + bytes_,
        "attempts": AuditRow.attempts + 1,
        "last_error": problem,
        "verified_at": now if problem is None else None,
        "next_at": None if problem is None else now + backoff_after(AuditRow.attempts),
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
    """Lines of the audit, newest first; of one job, or below a number."""
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
    """The numbers of items, of (number, faces), as many at a time as make a short statement.

    One by one, a folder of ten thousand photographs would keep SQLite from all others for long;
    all at once, a shelf of films would.
    """
    run: list[int] = []
    faces = 0
    for number, count in items:
        if run and (len(run) == MAX_ITEMS_PER_DELETE or faces + count > MAX_FACES_PER_DELETE):
            yield run
            run, faces = [], 0
        run.append(number)
        faces += count
    if run:
        yield run


def _held_until(session: Session, job_id: str) -> float:
    """Until when workers may be at the job without having heard that it is gone."""
    told = session.execute(
        select(
            now_seconds() + HEARTBEAT_GRACE_SECONDS,
            select(func.max(SegmentRow.lease_until))
            .where(SegmentRow.job_id == job_id)
            .scalar_subquery(),
            select(JobRow.lease_until).where(JobRow.id == job_id).scalar_subquery(),
        )
    ).one()
    return float(max(until for until in told if until is not None))


def _tables_of_jobs() -> Sequence[Table]:
    """Every table whose rows belong to a job, those first that refer to others; not the audit."""
    return [
        table
        for table in reversed(Base.metadata.sorted_tables)
        if "job_id" in table.c and table.name != AuditRow.__tablename__
    ]


def _count(result: Any) -> int:
    return int(result.rowcount)
