"""Claims: what a worker holds, and the fence that its writes have to pass.

How claims are taken and kept is in `db.leases`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import CancelledError, LeaseLostError, PausedError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import JobStatus, SegmentStatus


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


Bundle = Sequence[SegmentClaim]
"""Claims on segments of one job, which share a token; see `db.bundles`."""


@dataclass(frozen=True, slots=True)
class JobClaim:
    """A job whose exports are ours to write while the lease lasts."""

    job_id: str
    token: str
    attempt: int


def is_held_by(claim: SegmentClaim) -> ColumnElement[bool]:
    """The fence: true of the segment's row only while this claim holds."""
    return and_(SegmentRow.id == claim.segment_id, _is_held_under(claim.token))


def are_held_by(bundle: Bundle) -> ColumnElement[bool]:
    """The fence of claims that share a token: true of those rows whose claim holds."""
    ours = SegmentRow.id.in_([claim.segment_id for claim in bundle])
    return and_(ours, _is_held_under(bundle[0].token))


def _is_held_under(token: str) -> ColumnElement[bool]:
    return and_(SegmentRow.lease_token == token, SegmentRow.status == SegmentStatus.RUNNING)


def is_job_held_by(claim: JobClaim) -> ColumnElement[bool]:
    """The fence: true of the job's row only while this claim holds."""
    return and_(
        JobRow.id == claim.job_id,
        JobRow.lease_token == claim.token,
        JobRow.status == JobStatus.FINISHING,
    )


def claim_lost_error(session: Session, claim: SegmentClaim) -> CancelledError | LeaseLostError:
    """Why a claim on a segment no longer holds."""
    status = session.scalar(select(SegmentRow.status).where(SegmentRow.id == claim.segment_id))
    if status is SegmentStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    return LeaseLostError("Another worker holds this work now, or its job was deleted.")


def job_claim_lost_error(
    session: Session, claim: JobClaim
) -> CancelledError | PausedError | LeaseLostError:
    """Why a claim on a job no longer holds."""
    status = session.scalar(select(JobRow.status).where(JobRow.id == claim.job_id))
    if status is JobStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    if status in (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE):
        return hold_error(status)
    return LeaseLostError("Another worker holds this job now, or it was deleted.")


def hold_error(status: JobStatus) -> PausedError:
    """Why work on a job in this state is to be handed back."""
    if status is JobStatus.WAITING_FOR_SPACE:
        return PausedError("The job waits for space on the disk.")
    return PausedError("The job was paused.")


def lock_claim(session: Session, claim: SegmentClaim) -> None:
    """Lock a segment's row while the claim on it holds.

    Raises:
        CancelledError, LeaseLostError: it does not.
    """
    held = session.scalar(
        select(SegmentRow.id).where(is_held_by(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise claim_lost_error(session, claim)


def lock_job_claim(session: Session, claim: JobClaim) -> None:
    """Lock a job's row while the claim on it holds.

    Raises:
        CancelledError, PausedError, LeaseLostError: it does not.
    """
    held = session.scalar(
        select(JobRow.id).where(is_job_held_by(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise job_claim_lost_error(session, claim)
