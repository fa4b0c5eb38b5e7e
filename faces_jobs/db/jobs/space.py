"""Jobs that wait for disk space: parked when the disk is full, resumed after a pause."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import (
    JobClaim,
    SegmentClaim,
    claim_lost_error,
    is_held_by,
    is_job_held_by,
    job_claim_lost_error,
)
from faces_jobs.db.claims.release import release_values
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_ready
from faces_jobs.db.jobs.control import leave_hold
from faces_jobs.db.moves import move_jobs, move_segments
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.jobs.status import JobStatus, SegmentStatus

Pause = Callable[[int], float]
"""The minimum wait in seconds of a job that was parked this many times, counted from 1."""


def park_segment(database: Database, claim: SegmentClaim, *, reason: str, pause: Pause) -> None:
    """Release a segment without counting the attempt, and park its job.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    with database.begin() as session:
        released = session.scalar(
            move_segments(
                SegmentStatus.QUEUED,
                is_held_by(claim),
                **release_values(SegmentRow, reason=reason, counts=False),
            ).returning(SegmentRow.id)
        )
        if released is None:
            raise claim_lost_error(session, claim)
        _park(session, claim.job_id, pause)


def park_job(database: Database, claim: JobClaim, *, pause: Pause) -> None:
    """Park a job whose exports could not be written.

    Raises:
        CancelledError, PausedError, LeaseLostError: the claim is no longer valid; nothing was
            changed.
    """
    with database.begin() as session:
        held = session.scalar(
            update(JobRow)
            .where(is_job_held_by(claim))
            .values(lease_token=None, lease_until=None)
            .returning(JobRow.id)
        )
        if held is None:
            raise job_claim_lost_error(session, claim)
        _park(session, claim.job_id, pause)


def resume_parked(database: Database, *, limit: int) -> list[str]:
    """Resume parked jobs whose pause is over. Returns their ids."""
    waits = (JobRow.status == JobStatus.WAITING_FOR_SPACE, is_ready(JobRow))
    with database.read() as session:
        found = session.scalars(
            select(JobRow.id).where(*waits).order_by(JobRow.created_at).limit(limit)
        ).all()
    resumed = []
    for job_id in found:
        with database.begin() as session:
            job = session.scalar(
                select(JobRow).where(JobRow.id == job_id, *waits).with_for_update(key_share=True)
            )
            if job is not None:
                leave_hold(session, job)
                resumed.append(job_id)
    return resumed


def _park(session: Session, job_id: str, pause: Pause) -> None:
    job = session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update(key_share=True))
    if job is None or job.status not in (JobStatus.RUNNING, JobStatus.FINISHING):
        return  # paused by its user, or already parked by another worker
    parked = job.parked + 1
    session.execute(
        move_jobs(
            JobStatus.WAITING_FOR_SPACE,
            JobRow.id == job_id,
            parked=parked,
            not_before=now_seconds() + pause(parked),
            held_at=now_seconds(),
        )
    )
