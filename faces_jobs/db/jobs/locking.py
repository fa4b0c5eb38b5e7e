"""Locks the row of a job that a user wants to change."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from faces_jobs.db.conditions import is_kept
from faces_jobs.db.tables import JobRow
from faces_jobs.errors import NotFoundError


def lock_job(session: Session, job_id: str) -> JobRow:
    """Lock a job, so that no other transaction can change it before this one ends.

    Raises:
        NotFoundError: there is no such job, or it is being deleted.
    """
    job = session.scalar(
        select(JobRow).where(JobRow.id == job_id, is_kept()).with_for_update(key_share=True)
    )
    if job is None:
        raise NotFoundError(f"There is no job {job_id}.")
    return job
