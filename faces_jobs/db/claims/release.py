"""Releasing claims: segments and jobs go back into the queue, with or without a counted attempt.

Jobs that wait for disk space are released in `db.jobs.space`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sqlalchemy import update

from faces_jobs.db.claims.fencing import (
    Bundle,
    JobClaim,
    SegmentClaim,
    are_held_by,
    is_held_by,
    is_job_held_by,
    lock_claim,
    lock_job_claim,
    lock_segments,
)
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.moves import move_segments
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, LeaseColumns, SegmentRow
from faces_jobs.jobs.status import JobStatus, SegmentStatus

STOPPED = "its worker was told to stop"
# The lease columns of a row that starts over, as if it was never tried.
UNTRIED_VALUES: Mapping[str, Any] = MappingProxyType(
    {
        "attempts": 0,
        "lease_token": None,
        "lease_until": None,
        "last_rung_at": None,
        "not_before": None,
    }
)


def release_values(
    table: type[LeaseColumns], *, reason: str | None, counts: bool, delay_seconds: float = 0.0
) -> dict[str, Any]:
    """Return the column values of a row that is released, and may be claimed after `delay_seconds`.

    With `counts` the attempt counts against the limit, since it failed. Without, it doesn't, since
    it says nothing about the work; the sweep then rings as soon as the row may be claimed.
    """
    now = now_seconds()
    return {
        "lease_token": None,
        "lease_until": None,
        "last_error": reason,
        "attempts": table.attempts if counts else table.attempts - 1,
        "last_rung_at": now if counts else None,
        "not_before": now + delay_seconds if delay_seconds else None,
    }


def release_segment(
    database: Database,
    claim: SegmentClaim,
    *,
    reason: str,
    counts: bool,
    delay_seconds: float = 0.0,
) -> None:
    """Put a segment back into the queue, see `release_values`.

    Raises:
        CancelledError, LeaseLostError: the claim is no longer valid; nothing was changed.
    """
    values = release_values(SegmentRow, reason=reason, counts=counts, delay_seconds=delay_seconds)
    with database.begin() as session:
        lock_claim(session, claim)
        session.execute(move_segments(SegmentStatus.QUEUED, is_held_by(claim), **values))


def release_bundle(
    database: Database, bundle: Bundle, *, reason: str | None = None, delay_seconds: float = 0.0
) -> None:
    """Put a bundle's segments back into the queue without counting an attempt.

    Segments whose claims are no longer valid are left unchanged. See `release_values`.
    """
    values = release_values(SegmentRow, reason=reason, counts=False, delay_seconds=delay_seconds)
    values["last_rung_at"] = SegmentRow.last_rung_at  # one message is enough for all
    with database.begin() as session:
        lock_segments(session, are_held_by(bundle))
        session.execute(move_segments(SegmentStatus.QUEUED, are_held_by(bundle), **values))


def release_job(
    database: Database,
    claim: JobClaim,
    *,
    reason: str,
    counts: bool,
    delay_seconds: float = 0.0,
) -> None:
    """Release a job whose exports were not written, see `release_values`.

    Raises:
        CancelledError, PausedError, LeaseLostError: the claim is no longer valid; nothing was
            changed.
    """
    values = release_values(JobRow, reason=reason, counts=counts, delay_seconds=delay_seconds)
    with database.begin() as session:
        lock_job_claim(session, claim)
        session.execute(update(JobRow).where(is_job_held_by(claim)).values(**values))


def release_all_of(database: Database, worker: str) -> None:
    """Release all that a stopping worker holds, by the worker's name, without counting attempts."""
    held = (SegmentRow.worker == worker, SegmentRow.status == SegmentStatus.RUNNING)
    finishing = (
        JobRow.worker == worker,
        JobRow.status == JobStatus.FINISHING,
        JobRow.lease_token.is_not(None),
    )
    with database.begin() as session:
        lock_segments(session, *held)
        values = release_values(SegmentRow, reason=STOPPED, counts=False)
        session.execute(move_segments(SegmentStatus.QUEUED, *held, **values))
        values = release_values(JobRow, reason=STOPPED, counts=False)
        session.execute(update(JobRow).where(*finishing).values(**values))
