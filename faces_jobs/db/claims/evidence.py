"""Evidence of attempts that ended without a result, stored with the item for users to read.

How a worker's process ended is reported by its parent (`faces-jobs up`); of other workers only the
missing renewals are known. Memory use and the last frame are those of the last renewal.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import lock_segments
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.documents import EvidenceDocument
from faces_jobs.jobs.status import JobStatus, SegmentStatus


def evidence_of(row: SegmentRow | JobRow) -> EvidenceDocument:
    """Return what is known of the last attempt at a segment, or at a job's exports."""
    at_frame = None
    if isinstance(row, SegmentRow):
        at_frame = row.start_frame + row.frames_done
    return EvidenceDocument(
        attempts=row.attempts,
        worker=row.worker,
        exit_signal=row.exit_signal,
        said=row.last_error,
        peak_memory_bytes=row.peak_memory_bytes,
        last_frame=at_frame,
    )


def record_evidence(session: Session, row: SegmentRow | JobRow) -> None:
    """Store the evidence with the segment's item, or with the job if its exports failed."""
    evidence = evidence_of(row).model_dump(mode="json")
    if isinstance(row, JobRow):
        row.evidence = evidence
        return
    session.execute(update(ItemRow).where(ItemRow.id == row.item_id).values(evidence=evidence))


def record_worker_death(
    database: Database, *, worker_prefix: str, reason: str, exit_signal: str | None, delay: float
) -> int:
    """Expire all leases of a worker that is known to be dead. Returns the number of rows.

    Other workers may claim the work after `delay` seconds. The attempts count, since the work may
    have crashed the worker.
    """
    now = now_seconds()
    values: dict[str, Any] = {
        # Slightly in the past, since claims require `lease_until` < now.
        "lease_until": now - 0.001,
        "not_before": now + delay,
        "last_error": reason,
        "exit_signal": exit_signal,
    }
    held = (
        SegmentRow.status == SegmentStatus.RUNNING,
        SegmentRow.worker.startswith(worker_prefix, autoescape=True),
    )
    finishing = update(JobRow).where(
        JobRow.status == JobStatus.FINISHING,
        JobRow.lease_token.is_not(None),
        JobRow.worker.startswith(worker_prefix, autoescape=True),
    )
    with database.begin() as session:
        found = lock_segments(session, *held)
        session.execute(update(SegmentRow).where(*held).values(**values))
        jobs = session.scalars(finishing.values(**values).returning(JobRow.id)).all()
    return len(found) + len(jobs)
