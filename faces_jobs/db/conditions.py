"""What rows are asked for again and again, as conditions: said once, so that all mean the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.jobs.status import ACTIVE_JOBS, JobStatus, SegmentStatus


def is_ready(table: Any) -> ColumnElement[bool]:
    """True of rows whose pause after a failed attempt is over, or that have none."""
    ready: ColumnElement[bool] = func.coalesce(table.not_before, 0.0) <= now_seconds()
    return ready


def is_orphaned(segment: Any = SegmentRow) -> ColumnElement[bool]:
    """True of segments whose worker let its lease run out."""
    return and_(
        segment.status == SegmentStatus.RUNNING,
        segment.lease_token.is_not(None),  # always so; it names the index of what is held
        segment.lease_until < now_seconds(),
    )


def is_waiting_for_exports() -> ColumnElement[bool]:
    """True of jobs whose exports are to be written, and that nobody is at."""
    nobody = or_(JobRow.lease_token.is_(None), JobRow.lease_until < now_seconds())
    return and_(JobRow.status == JobStatus.FINISHING, nobody)


def has_active_job() -> ColumnElement[bool]:
    """True of segments whose job is neither held nor ended."""
    return exists().where(JobRow.id == SegmentRow.job_id, JobRow.status.in_(ACTIVE_JOBS))
