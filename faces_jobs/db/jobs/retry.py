"""Retrying ended jobs: items that failed or were cancelled start over, the others are kept.

Partial results of a failed item (of the readable part of a broken file) are kept until the new
attempt replaces them, as are the job's exports.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, ScalarSelect, and_, delete, func, select
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import lock_all_segments
from faces_jobs.db.claims.release import UNTRIED_VALUES
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_discarded
from faces_jobs.db.jobs.changes import insert_segments
from faces_jobs.db.jobs.locking import lock_job
from faces_jobs.db.moves import move_items, move_jobs
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow, SegmentRow
from faces_jobs.errors import StateError
from faces_jobs.jobs.status import ItemStatus, JobStatus


def retry_job(session: Session, job_id: str) -> None:
    """Put a job's failed and cancelled items back into the queue.

    Files that were refused when they were submitted stay failed, since they were not stored. If
    only the exports are missing, the job goes straight to `finishing`.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has not ended, there is nothing to retry, or discarded results are
            still being deleted (see `db.jobs.discarding`).
    """
    lock_all_segments(session, job_id)
    job = lock_job(session, job_id)
    if not job.status.ended:
        raise StateError(f"The job has not ended ({job.status}): there is nothing to retry yet.")
    retried = and_(ItemRow.job_id == job_id, is_retryable())
    items = session.scalar(select(func.count()).select_from(ItemRow).where(retried)) or 0
    if not items and not jobs_without_exports(session, [job_id]):
        raise StateError(
            "There is nothing to retry: the files that failed were refused when they were "
            "submitted. Submit other files as a new job."
            if job.status is not JobStatus.SUCCEEDED
            else "There is nothing to retry: every file succeeded."
        )
    if session.scalar(select(ItemRow.id).where(retried, is_discarded()).limit(1)) is not None:
        raise StateError(
            "What the job had found in its unfinished files is still being deleted: retry it in a "
            "minute."
        )
    _restart_items(session, retried)
    _restart_job(session, job_id, has_items=bool(items))


def _restart_items(session: Session, retried: ColumnElement[bool]) -> None:
    # New rows instead of the old ones: a worker that is still busy with those loses its claim.
    session.execute(
        delete(SegmentRow).where(SegmentRow.item_id.in_(select(ItemRow.id).where(retried)))
    )
    insert_segments(session, retried)
    session.execute(
        move_items(
            ItemStatus.QUEUED,
            retried,
            started_at=None,
            ended_at=None,
            error_code=None,
            error_message=None,
            evidence=None,
        )
    )


def _restart_job(session: Session, job_id: str, *, has_items: bool) -> None:
    session.execute(
        move_jobs(
            JobStatus.QUEUED if has_items else JobStatus.FINISHING,
            JobRow.id == job_id,
            started_at=None if has_items else JobRow.started_at,
            ended_at=None,
            error_code=None,
            error_message=None,
            evidence=None,
            parked=0,
            held_at=None,
            held_seconds=0 if has_items else JobRow.held_seconds + _idle_seconds(),
            frames_kept=_frames_shown(job_id) if has_items else JobRow.frames_kept,
            delete_at=None,
            **UNTRIED_VALUES,
        )
    )


def _idle_seconds() -> ColumnElement[float]:
    """How long the job has not been worked on: since it ended, or was put on hold before that."""
    return now_seconds() - func.coalesce(JobRow.held_at, JobRow.ended_at)


def _frames_shown(job_id: str) -> ScalarSelect[int]:
    """The frames of the items that are kept: the segments of the others are new."""
    return (
        select(func.coalesce(func.sum(SegmentRow.frames_shown), 0))
        .where(SegmentRow.job_id == job_id)
        .scalar_subquery()
    )


def is_retryable() -> ColumnElement[bool]:
    """Match items of an ended job that a retry processes again."""
    return and_(
        ItemRow.status.in_((ItemStatus.FAILED, ItemStatus.CANCELLED)),
        ItemRow.source.is_not(None),
    )


def jobs_without_exports(session: Session, job_ids: Collection[str]) -> set[str]:
    """Return those of these jobs that have no exports, which a retry would write."""
    if not job_ids:  # as for every job that is polled until it ends
        return set()
    found = select(ArtifactRow.job_id).where(
        ArtifactRow.job_id.in_(job_ids), ArtifactRow.item_id.is_(None)
    )
    return set(job_ids) - set(session.scalars(found))
