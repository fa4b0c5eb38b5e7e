"""SQL conditions that several queries share, so that they can't drift apart."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, or_

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.status import ACTIVE_JOBS, JobStatus, SegmentStatus


def is_ready(table: Any) -> ColumnElement[bool]:
    """Match rows that may be claimed now: no delay after a failed attempt is left."""
    is_over: ColumnElement[bool] = func.coalesce(table.not_before, 0.0) <= now_seconds()
    return is_over


def is_orphaned(segment: Any = SegmentRow) -> ColumnElement[bool]:
    """Match segments that are running under an expired lease."""
    return and_(
        segment.status == SegmentStatus.RUNNING,
        segment.lease_token.is_not(None),  # implied; selects the partial index `ix_segments_held`
        segment.lease_until < now_seconds(),
    )


def is_kept() -> ColumnElement[bool]:
    """Match jobs that are not being deleted: nobody sees the others, nor what is left of them."""
    return JobRow.deleted_at.is_(None)


def is_discarded() -> ColumnElement[bool]:
    """Match items whose results are being deleted: nobody sees what is left of them."""
    return ItemRow.discarded_at.is_not(None)


def is_waiting_for_exports() -> ColumnElement[bool]:
    """Match jobs whose exports are still to be written and that no worker holds."""
    unclaimed = or_(JobRow.lease_token.is_(None), JobRow.lease_until < now_seconds())
    return and_(JobRow.status == JobStatus.FINISHING, unclaimed)


def has_claimable_exports(max_attempts: int) -> ColumnElement[bool]:
    """Match jobs whose exports a worker may claim now."""
    return and_(is_waiting_for_exports(), JobRow.attempts < max_attempts, is_ready(JobRow))


def has_active_job() -> ColumnElement[bool]:
    """Match segments whose job is neither held nor ended."""
    return exists().where(JobRow.id == SegmentRow.job_id, JobRow.status.in_(ACTIVE_JOBS))
