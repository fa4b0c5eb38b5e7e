"""The audit log of deletions: which are still under way, and which were verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.retry_delays import retry_delay_after
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow

JOB_DELETED = "job_deleted"
# A process that deletes rows postpones the next check with each step. If it dies, the sweep takes
# over this much later.
TAKEOVER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class OpenDeletion:
    """A deletion of which rows or files may still be there."""

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


def record_deletion(
    session: Session, job_id: str, *, why: str, by: str, rows: int, held_until: float
) -> int:
    """Record that a job is deleted, of which `rows` are gone already. Returns the entry's id."""
    now = now_seconds()
    return session.scalars(
        insert(AuditRow)
        .values(
            at=now,
            what=JOB_DELETED,
            job_id=job_id,
            why=why,
            by=by,
            rows=rows,
            files=0,
            bytes=0,
            held_until=held_until,
            attempts=0,
            next_at=now + TAKEOVER_SECONDS,
        )
        .returning(AuditRow.id)
    ).one()


def record_step(session: Session, audit_id: int, *, rows: int, is_last: bool = False) -> None:
    """Record that a deletion removed more rows; after the last step anyone may go on with it."""
    next_at = now_seconds() if is_last else now_seconds() + TAKEOVER_SECONDS
    session.execute(
        update(AuditRow)
        .where(AuditRow.id == audit_id, AuditRow.verified_at.is_(None))
        .values(rows=AuditRow.rows + rows, next_at=next_at)
    )


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
