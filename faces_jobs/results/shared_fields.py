"""The fields that the documents of jobs and items share."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.tables import ItemRow, JobRow
from faces_jobs.jobs.documents import ErrorDocument, EvidenceDocument


def seconds_between(started: float | None, ended: float | None, now: float) -> float | None:
    """The seconds from the start to the end, or until now; None before the start."""
    return None if started is None else max(0.0, (ended or now) - started)


def database_now(session: Session) -> float:
    """The time of the database's clock, in seconds since 1970."""
    return session.scalars(select(now_seconds())).one()


def error_of(row: JobRow | ItemRow) -> ErrorDocument | None:
    """The row's error, if it has one."""
    if row.error_code is None:
        return None
    return ErrorDocument(code=row.error_code, message=row.error_message or "")


def evidence_of(row: JobRow | ItemRow) -> EvidenceDocument | None:
    """The evidence of the row's last attempt, if it has any."""
    return None if row.evidence is None else EvidenceDocument.model_validate(row.evidence)
