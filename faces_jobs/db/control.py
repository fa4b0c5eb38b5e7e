"""What users do with a job that is there: pause and resume it, change its priority.

Cancelling and deleting end it, and stand in `db.jobs`.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.moves import move_jobs
from faces_jobs.db.release import UNTRIED_VALUES
from faces_jobs.db.tables import ItemRow, JobRow
from faces_jobs.errors import NotFoundError, StateError
from faces_jobs.jobs.spec import PRIORITY_RANKS, Priority
from faces_jobs.jobs.status import OPEN_ITEMS, JobStatus

HELD_JOBS = (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE)


def pause_job(session: Session, job_id: str) -> None:
    """Hold a job until it is resumed.

    Nobody gets its segments any more; who works on one is told at the next renewal and hands it
    back, or finishes it before. Exports that are being written are begun again afterwards.
    Nothing happens to a job that is paused already.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    moved = session.scalar(
        move_jobs(
            JobStatus.PAUSED, JobRow.id == job_id, lease_token=None, lease_until=None
        ).returning(JobRow.id)
    )
    if moved is None and (status := _status(session, job_id)) is not JobStatus.PAUSED:
        raise StateError(f"The job has ended already ({status}): there is nothing to pause.")


def resume_job(session: Session, job_id: str) -> None:
    """Let a job go on that was paused, or that waits for space.

    Nothing happens to a job that was not held.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    # Locked before its items are looked at, as `finish_if_last` does: an item that ends in this
    # moment is seen by one of the two.
    job = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update(key_share=True))
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.")
    if job.status.ended:
        raise StateError(
            f"The job has ended already ({job.status}): there is nothing to resume. "
            "Retry it to run again what failed."
        )
    if job.status in HELD_JOBS:
        job.parked = 0
        leave_hold(session, job)


def set_priority(session: Session, job_id: str, priority: Priority) -> None:
    """Change how soon a job is worked on.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    job = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update(key_share=True))
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.")
    if job.status.ended:
        raise StateError(f"The job has ended already ({job.status}): its priority is of no use.")
    job.priority = PRIORITY_RANKS[priority]
    job.options = {**job.options, "priority": priority}


def leave_hold(session: Session, job: JobRow) -> None:
    """Move a job whose row is locked to where its items are: waiting, begun, or all ended."""
    if not _has_open_items(session, job.id):
        to = JobStatus.FINISHING
    elif job.started_at is None:
        to = JobStatus.QUEUED
    else:
        to = JobStatus.RUNNING
    session.execute(
        move_jobs(
            to,
            JobRow.id == job.id,
            **UNTRIED_VALUES,
        )
    )


def _has_open_items(session: Session, job_id: str) -> bool:
    found = session.scalar(
        select(ItemRow.id).where(ItemRow.job_id == job_id, ItemRow.status.in_(OPEN_ITEMS)).limit(1)
    )
    return found is not None


def _status(session: Session, job_id: str) -> JobStatus:
    status = session.scalar(select(JobRow.status).where(JobRow.id == job_id))
    if status is None:
        raise NotFoundError(f"There is no job {job_id}.")
    return status
