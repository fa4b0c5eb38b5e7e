"""Pausing and resuming a job, and changing its priority.

Jobs are cancelled in `db.jobs.changes` and deleted in `db.jobs.deletion`.
"""

from __future__ import annotations

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.release import UNTRIED_VALUES
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.changes import has_open_items
from faces_jobs.db.jobs.locking import lock_job
from faces_jobs.db.moves import move_jobs
from faces_jobs.db.tables import ItemRow, JobRow
from faces_jobs.errors import StateError
from faces_jobs.jobs.spec import PRIORITY_RANKS, Priority
from faces_jobs.jobs.status import ItemStatus, JobStatus


def pause_job(session: Session, job_id: str) -> None:
    """Hold a job until it is resumed.

    Its segments can't be claimed any more. A worker that holds one releases it at its next
    renewal, unless it finishes before. Exports that are being written start over when the job is
    resumed. A job that is already paused is left unchanged.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    _lock_open_job(session, job_id, otherwise="there is nothing to pause.")
    session.execute(
        move_jobs(
            JobStatus.PAUSED,
            JobRow.id == job_id,
            lease_token=None,
            lease_until=None,
            held_at=func.coalesce(JobRow.held_at, now_seconds()),  # it may have waited for space
        )
    )


def resume_job(session: Session, job_id: str) -> None:
    """Resume a job that was paused or waits for disk space.

    A job that is not held is left unchanged.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    # Locked before its items are checked, as in `start_finishing_if_done`: an item that ends at
    # this very moment is seen by one of the two.
    job = _lock_open_job(
        session,
        job_id,
        otherwise="there is nothing to resume. To process the files that failed again, retry it.",
    )
    if job.status.held:
        job.parked = 0
        leave_hold(session, job)


def set_priority(session: Session, job_id: str, priority: Priority) -> None:
    """Change the priority of a job.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    job = _lock_open_job(session, job_id, otherwise="its priority can't be changed.")
    job.priority = PRIORITY_RANKS[priority]
    job.options = {**job.options, "priority": priority}


def leave_hold(session: Session, job: JobRow) -> None:
    """Move a held job whose row is locked to the status that follows from its items."""
    if not has_open_items(session, job.id):
        to = JobStatus.FINISHING
    elif job.started_at is None:
        to = JobStatus.QUEUED
    else:
        to = JobStatus.RUNNING
    seconds = 0.0 if job.held_at is None else exclude_time_since(session, job, job.held_at)
    session.execute(
        move_jobs(
            to,
            JobRow.id == job.id,
            held_at=None,
            held_seconds=JobRow.held_seconds + seconds,
            **UNTRIED_VALUES,
        )
    )


def exclude_time_since(session: Session, job: JobRow, since: float) -> float:
    """Don't count the time since then as time of the job's items. Returns its seconds.

    The caller has locked the job's row, and adds them to its `held_seconds`.
    """
    if job.started_at is None:
        return 0.0
    since = max(since, job.started_at)
    seconds = max(0.0, session.scalars(select(now_seconds())).one() - since)
    # Items that are locked are just being ended. To wait for them, with the job's lock held, would
    # be the wrong order.
    running = (
        select(ItemRow.id)
        .where(ItemRow.job_id == job.id, ItemRow.status == ItemStatus.RUNNING)
        .with_for_update(key_share=True, skip_locked=True)
    )
    session.execute(
        update(ItemRow)
        .where(ItemRow.id.in_(running.scalar_subquery()))
        .values(started_at=ItemRow.started_at + seconds)
    )
    return seconds


def _lock_open_job(session: Session, job_id: str, *, otherwise: str) -> JobRow:
    """Lock a job that has not ended. `otherwise`: what follows for the user if it has.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    job = lock_job(session, job_id)
    if job.status.ended:
        raise StateError(f"The job has already ended ({job.status}): {otherwise}")
    return job
