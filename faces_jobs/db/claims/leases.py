"""Leases: how workers claim segments, and jobs whose exports are due, and renew their claims.

Claiming and renewing are one UPDATE each, with the rules as its condition: no lock is held while
work is done, and if several workers claim the same row, only one succeeds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Update, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import (
    JobClaim,
    SegmentClaim,
    claim_lost_error,
    hold_error,
    is_held_by,
    is_job_held_by,
    job_claim_lost_error,
)
from faces_jobs.db.claims.tokens import new_token
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import has_active_job, has_claimable_exports, is_orphaned, is_ready
from faces_jobs.db.moves import move_items, without_session_sync
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus


def claim_segment(
    database: Database, segment_id: int, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Claim a segment that waits, or whose lease expired. Returns None if it is not available.

    The item and the job become `running`.
    """
    with database.begin() as session:
        return claim_segment_in(
            session,
            segment_id,
            worker=worker,
            lease_seconds=lease_seconds,
            max_attempts=max_attempts,
        )


def claim_segment_in(
    session: Session, segment_id: int, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Claim a segment within the session's transaction, see `claim_segment`."""
    now = now_seconds()
    # Skip a locked row: a worker may be storing results, which takes long, and others are free.
    before = session.execute(
        select(SegmentRow.status, SegmentRow.job_id)
        .where(SegmentRow.id == segment_id)
        .with_for_update(key_share=True, skip_locked=True)
    ).one_or_none()
    if before is None:
        return None
    token = new_token(before.job_id)
    statement = (
        without_session_sync(update(SegmentRow))
        .where(
            SegmentRow.id == segment_id,
            or_(SegmentRow.status == SegmentStatus.QUEUED, is_orphaned()),
            SegmentRow.attempts < max_attempts,
            is_ready(SegmentRow),
            has_active_job(),
        )
        .values(**claimed_values(worker, token=token, lease_seconds=lease_seconds))
        .returning(SegmentRow.item_id, SegmentRow.job_id)
    )
    claimed = session.execute(statement).one_or_none()
    if claimed is None:
        return None
    start_item = move_items(ItemStatus.RUNNING, ItemRow.id == claimed.item_id, started_at=now)
    session.execute(without_session_sync(start_item))
    session.execute(_start_job(claimed.job_id))
    return replace(
        _claim(session, segment_id, token), rescued=before.status is SegmentStatus.RUNNING
    )


def _start_job(job_id: str) -> Update:
    """Let a job begin with its first claim.

    A pause at this very moment is kept, and the first renewal reports it; but the job has begun,
    so that it will be `running` once it is resumed.
    """
    running = literal(JobStatus.RUNNING, JobRow.status.type)
    return without_session_sync(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.started_at.is_(None))
        .values(
            status=case((JobRow.status == JobStatus.QUEUED, running), else_=JobRow.status),
            started_at=now_seconds(),
        )
    )


def claimed_values(worker: str, *, token: str, lease_seconds: float) -> dict[str, Any]:
    """Return the column values of a segment that a worker claims."""
    now = now_seconds()
    return {
        "status": SegmentStatus.RUNNING,
        "lease_token": token,
        "lease_until": now + lease_seconds,
        "attempts": SegmentRow.attempts + 1,
        "worker": worker,
        "started_at": now,
        "frames_done": 0,
        "not_before": None,
        "last_error": None,
        "exit_signal": None,
        "peak_memory_bytes": None,
    }


def _claim(session: Session, segment_id: int, token: str) -> SegmentClaim:
    segment, item, job = session.execute(
        select(SegmentRow, ItemRow, JobRow)
        .join(ItemRow, ItemRow.id == SegmentRow.item_id)
        .join(JobRow, JobRow.id == SegmentRow.job_id)
        .where(SegmentRow.id == segment_id)
    ).one()
    return SegmentClaim(
        segment_id=segment.id,
        item_id=item.id,
        job_id=job.id,
        token=token,
        attempt=segment.attempts,
        position=item.position,
        item_name=item.name,
        source=item.source or "",
        bytes=item.bytes,
        modified_ns=item.modified_ns,
        root=job.root,
        spec=JobSpec.model_validate(job.options, strict=False),
        start_frame=segment.start_frame,
        end_frame=segment.end_frame,
        item_kind=item.kind,
        stage=Stage(segment.stage),
        part=segment.part,
    )


def renew_segment(
    database: Database,
    claim: SegmentClaim,
    *,
    lease_seconds: float,
    frames_done: int,
    frames_total: int | None,
    peak_memory_bytes: int | None = None,
) -> None:
    """Extend the lease of a segment and record its progress.

    Raises:
        CancelledError: the user cancelled the job.
        PausedError: the job is held; the claim stays valid, so that the segment can be released.
        LeaseLostError: another worker holds the segment, or it was deleted.
    """
    renewal = (
        without_session_sync(update(SegmentRow))
        .where(is_held_by(claim))
        .values(
            lease_until=now_seconds() + lease_seconds,
            frames_done=frames_done,
            # A new attempt starts at 0, but the progress that users see never decreases.
            frames_shown=case(
                (SegmentRow.frames_shown < frames_done, frames_done), else_=SegmentRow.frames_shown
            ),
            frames_total=func.coalesce(frames_total, SegmentRow.frames_total),
            peak_memory_bytes=peak_memory_bytes,
        )
        .returning(select(JobRow.status).where(JobRow.id == claim.job_id).scalar_subquery())
    )
    with database.begin() as session:
        status = session.scalar(renewal)
        if status is None:
            raise claim_lost_error(session, claim)
    if not status.active:
        raise hold_error(status)


def claim_job(
    database: Database, job_id: str, *, worker: str, lease_seconds: float, max_attempts: int
) -> JobClaim | None:
    """Claim a job whose exports are to be written. Returns None if it is not available."""
    token = new_token(job_id)
    now = now_seconds()
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, has_claimable_exports(max_attempts))
        .values(
            lease_token=token,
            lease_until=now + lease_seconds,
            attempts=JobRow.attempts + 1,
            worker=worker,
            not_before=None,
            last_error=None,
            exit_signal=None,
        )
        .returning(JobRow.attempts)
    )
    with database.begin() as session:
        attempt = session.scalar(statement)
    return None if attempt is None else JobClaim(job_id, token, attempt)


def renew_job(database: Database, claim: JobClaim, *, lease_seconds: float) -> None:
    """Extend the lease of a job that is being finished.

    Raises:
        CancelledError: the user cancelled the job.
        PausedError: the job is held, which ends the claim.
        LeaseLostError: another worker holds the job, or it was deleted.
    """
    renewal = (
        update(JobRow)
        .where(is_job_held_by(claim))
        .values(lease_until=now_seconds() + lease_seconds)
        .returning(JobRow.id)
    )
    with database.begin() as session:
        if session.scalar(renewal) is None:
            raise job_claim_lost_error(session, claim)
