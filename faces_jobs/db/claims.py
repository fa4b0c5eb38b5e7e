"""Claims: a worker takes a segment, or a job to finish, under a lease with a token, and renews it.

Taking and renewing are one UPDATE each, whose condition is the rule: no lock is held while work
is done, and of two workers that want the same row one gets it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_orphaned, is_ready, of_active_job, waits_for_exports
from faces_jobs.db.moves import move_items, move_jobs, move_segments, past_the_session
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.db.tokens import new_token
from faces_jobs.errors import CancelledError, LeaseLostError, PausedError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus


@dataclass(frozen=True, slots=True)
class SegmentClaim:
    """A segment that is ours while the lease lasts, with all that is needed to work on it."""

    segment_id: int
    item_id: int
    job_id: str
    token: str
    attempt: int  # from 1
    position: int
    item_name: str
    source: str
    bytes: int
    modified_ns: int | None
    root: str | None
    spec: JobSpec
    start_frame: int
    end_frame: int | None
    item_kind: str | None
    stage: Stage
    part: dict[str, Any] | None
    rescued: bool = False  # taken over from a worker that let its lease run out


@dataclass(frozen=True, slots=True)
class JobClaim:
    """A job whose exports are ours to write while the lease lasts."""

    job_id: str
    token: str
    attempt: int


def claim_segment(
    database: Database, segment_id: int, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Take a segment that waits, or whose worker let its lease run out. None: it is not to be had.

    The item and the job are `running` from then on.
    """
    with database.begin() as session:
        return take_segment(
            session,
            segment_id,
            worker=worker,
            lease_seconds=lease_seconds,
            max_attempts=max_attempts,
        )


def take_segment(
    session: Session, segment_id: int, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Take a segment within a transaction; see `claim_segment`."""
    now = now_seconds()
    # Not waited for: who writes its results right now may take long, and others could be had.
    before = session.execute(
        select(SegmentRow.status, SegmentRow.job_id)
        .where(SegmentRow.id == segment_id)
        .with_for_update(key_share=True, skip_locked=True)
    ).one_or_none()
    if before is None:
        return None
    token = new_token(before.job_id)
    taken = (
        past_the_session(update(SegmentRow))
        .where(
            SegmentRow.id == segment_id,
            or_(
                SegmentRow.status == SegmentStatus.QUEUED,
                is_orphaned(),
            ),
            SegmentRow.attempts < max_attempts,
            is_ready(SegmentRow),
            of_active_job(),
        )
        .values(
            status=SegmentStatus.RUNNING,
            lease_token=token,
            lease_until=now + lease_seconds,
            attempts=SegmentRow.attempts + 1,
            worker=worker,
            started_at=now,
            frames_done=0,
            not_before=None,
            last_error=None,
            exit_signal=None,
            peak_memory_bytes=None,
        )
        .returning(SegmentRow.item_id, SegmentRow.job_id)
    )
    owner = session.execute(taken).one_or_none()
    if owner is None:
        return None
    begun = move_items(ItemStatus.RUNNING, ItemRow.id == owner.item_id, started_at=now)
    session.execute(past_the_session(begun))
    # From `queued` alone: a pause that came in this very moment stays, and the first renewal
    # tells of it.
    running = move_jobs(
        JobStatus.RUNNING,
        JobRow.id == owner.job_id,
        JobRow.status == JobStatus.QUEUED,
        started_at=now,
    )
    session.execute(past_the_session(running))
    return replace(
        _claim(session, segment_id, token), rescued=before.status is SegmentStatus.RUNNING
    )


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
    """Hold on to a segment and tell how far it is.

    Raises:
        CancelledError: the user cancelled the job.
        PausedError: the job is held; the claim still holds, for handing the segment back.
        LeaseLostError: another worker has it, or it is no more.
    """
    renewed = (
        past_the_session(update(SegmentRow))
        .where(mine(claim))
        .values(
            lease_until=now_seconds() + lease_seconds,
            frames_done=frames_done,
            # A second attempt begins again, but what is shown does not go back.
            frames_shown=case(
                (SegmentRow.frames_shown < frames_done, frames_done), else_=SegmentRow.frames_shown
            ),
            frames_total=func.coalesce(frames_total, SegmentRow.frames_total),
            peak_memory_bytes=peak_memory_bytes,
        )
        .returning(select(JobRow.status).where(JobRow.id == claim.job_id).scalar_subquery())
    )
    with database.begin() as session:
        status = session.scalar(renewed)
        if status is None:
            raise lost(session, claim)
    if not status.active:
        raise held(status)


def claim_job(
    database: Database, job_id: str, *, worker: str, lease_seconds: float, max_attempts: int
) -> JobClaim | None:
    """Take a job whose exports are to be written. None: it is not to be had."""
    token = new_token(job_id)
    now = now_seconds()
    taken = (
        update(JobRow)
        .where(
            JobRow.id == job_id,
            waits_for_exports(),
            JobRow.attempts < max_attempts,
            is_ready(JobRow),
        )
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
        attempt = session.scalar(taken)
    return None if attempt is None else JobClaim(job_id, token, attempt)


def renew_job(database: Database, claim: JobClaim, *, lease_seconds: float) -> None:
    """Hold on to a job that is being finished.

    Raises:
        CancelledError: the user cancelled it.
        PausedError: the job is held; the claim is gone.
        LeaseLostError: another worker has it, or it is no more.
    """
    renewed = (
        update(JobRow)
        .where(mine_to_finish(claim))
        .values(lease_until=now_seconds() + lease_seconds)
        .returning(JobRow.id)
    )
    with database.begin() as session:
        if session.scalar(renewed) is None:
            raise lost_job(session, claim)


def release_worker(database: Database, worker: str) -> None:
    """Give back all that a worker holds, at no cost: it ends, and can't say so by its claims."""
    values: dict[str, Any] = {
        "lease_token": None,
        "lease_until": None,
        "last_rung_at": None,
        "last_error": "its worker was told to stop",
    }
    with database.begin() as session:
        session.execute(
            move_segments(
                SegmentStatus.QUEUED,
                SegmentRow.worker == worker,
                SegmentRow.status == SegmentStatus.RUNNING,
                attempts=SegmentRow.attempts - 1,
                **values,
            )
        )
        session.execute(
            update(JobRow)
            .where(
                JobRow.worker == worker,
                JobRow.status == JobStatus.FINISHING,
                JobRow.lease_token.is_not(None),
            )
            .values(attempts=JobRow.attempts - 1, **values)
        )


def mine(claim: SegmentClaim) -> ColumnElement[bool]:
    """The fence: true of the segment's row only while this claim holds."""
    return and_(
        SegmentRow.id == claim.segment_id,
        SegmentRow.lease_token == claim.token,
        SegmentRow.status == SegmentStatus.RUNNING,
    )


def mine_to_finish(claim: JobClaim) -> ColumnElement[bool]:
    """The fence: true of the job's row only while this claim holds."""
    return and_(
        JobRow.id == claim.job_id,
        JobRow.lease_token == claim.token,
        JobRow.status == JobStatus.FINISHING,
    )


def lost(session: Session, claim: SegmentClaim) -> CancelledError | LeaseLostError:
    """Why a claim on a segment no longer holds."""
    status = session.scalar(select(SegmentRow.status).where(SegmentRow.id == claim.segment_id))
    if status is SegmentStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    return LeaseLostError("Another worker holds this work now, or its job was deleted.")


def lost_job(session: Session, claim: JobClaim) -> CancelledError | PausedError | LeaseLostError:
    """Why a claim on a job no longer holds."""
    status = session.scalar(select(JobRow.status).where(JobRow.id == claim.job_id))
    if status is JobStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    if status in (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE):
        return held(status)
    return LeaseLostError("Another worker holds this job now, or it was deleted.")


def held(status: JobStatus) -> PausedError:
    """Why work on a job in this state is to be handed back."""
    if status is JobStatus.WAITING_FOR_SPACE:
        return PausedError("The job waits for space on the disk.")
    return PausedError("The job was paused.")
