"""Claims on segments and jobs, and the conditions by which a worker's writes are fenced.

A claim is checked by its token in the transaction that writes, so that a worker that lost its
lease can't change anything (a fencing token). Claims are taken and renewed in `db.claims.leases`.
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
    """A segment that this worker holds under a lease, with all that is needed to process it."""

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
    rescued: bool = False  # taken over from a worker whose lease expired


Bundle = Sequence[SegmentClaim]
"""Claims on segments of one job that share a token, see `db.segments.bundles`."""


@dataclass(frozen=True, slots=True)
class JobClaim:
    """A job whose exports this worker writes under a lease."""

    job_id: str
    token: str
    attempt: int


def is_held_by(claim: SegmentClaim) -> ColumnElement[bool]:
    """Match the claimed segment while the claim is valid (the fence of every write)."""
    return and_(SegmentRow.id == claim.segment_id, _is_held_under(claim.token))


def are_held_by(bundle: Bundle) -> ColumnElement[bool]:
    """Match those of a bundle's segments whose claims are valid."""
    claimed = SegmentRow.id.in_([claim.segment_id for claim in bundle])
    return and_(claimed, _is_held_under(bundle[0].token))


def _is_held_under(token: str) -> ColumnElement[bool]:
    return and_(SegmentRow.lease_token == token, SegmentRow.status == SegmentStatus.RUNNING)


def is_job_held_by(claim: JobClaim) -> ColumnElement[bool]:
    """Match the claimed job while the claim is valid (the fence of every write)."""
    return and_(
        JobRow.id == claim.job_id,
        JobRow.lease_token == claim.token,
        JobRow.status == JobStatus.FINISHING,
    )


def claim_lost_error(session: Session, claim: SegmentClaim) -> CancelledError | LeaseLostError:
    """Return the error that says why a claim on a segment is no longer valid."""
    status = session.scalar(select(SegmentRow.status).where(SegmentRow.id == claim.segment_id))
    if status is SegmentStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    return LeaseLostError("Another worker holds this segment now, or its job was deleted.")


def job_claim_lost_error(
    session: Session, claim: JobClaim
) -> CancelledError | PausedError | LeaseLostError:
    """Return the error that says why a claim on a job is no longer valid."""
    status = session.scalar(select(JobRow.status).where(JobRow.id == claim.job_id))
    if status is JobStatus.CANCELLED:
        return CancelledError("The job was cancelled.")
    if status in (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE):
        return hold_error(status)
    return LeaseLostError("Another worker holds this job now, or it was deleted.")


def hold_error(status: JobStatus) -> PausedError:
    """Return the error that says why work on a held job has to be released."""
    if status is JobStatus.WAITING_FOR_SPACE:
        return PausedError("The job is waiting for disk space.")
    return PausedError("The job was paused.")


def lock_segments(session: Session, *which: ColumnElement[bool]) -> Sequence[int]:
    """Lock segments in the order of their ids, as every transaction does, and return the ids.

    An UPDATE of several rows locks them in the order of whatever index it uses: without this, two
    of them might wait for each other.
    """
    return session.scalars(
        select(SegmentRow.id).where(*which).order_by(SegmentRow.id).with_for_update(key_share=True)
    ).all()


def lock_all_segments(session: Session, job_id: str) -> None:
    """Lock all segments of a job, so that no transaction can end one or add others.

    Whoever adds segments holds one of the item's. Those that were added while this waited for a
    lock are only seen by another query.
    """
    locked: Sequence[int] | None = None
    while (found := lock_segments(session, SegmentRow.job_id == job_id)) != locked:
        locked = found


def lock_claim(session: Session, claim: SegmentClaim) -> None:
    """Lock the claimed segment's row.

    Raises:
        CancelledError: the job was cancelled.
        LeaseLostError: another worker holds the segment, or the job was deleted.
    """
    held = session.scalar(
        select(SegmentRow.id).where(is_held_by(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise claim_lost_error(session, claim)


def lock_job_claim(session: Session, claim: JobClaim) -> None:
    """Lock the claimed job's row.

    Raises:
        CancelledError: the job was cancelled.
        PausedError: the job is held, which ends the claim.
        LeaseLostError: another worker holds the job, or it was deleted.
    """
    held = session.scalar(
        select(JobRow.id).where(is_job_held_by(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise job_claim_lost_error(session, claim)
