"""What is known of attempts that ended without a result: kept with the item, for people to read.

How a process ended is told by whoever started it (`faces-jobs up`); of the others is known that
they fell silent. Memory and the last frame are those of the last renewal.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.jobs.documents import EvidenceDocument
from faces_jobs.jobs.status import JobStatus, SegmentStatus


def evidence_of(row: SegmentRow | JobRow) -> EvidenceDocument:
    """What is known of the last attempt at a segment, or at a job's exports."""
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
    """Keep it with the item, or with the job if it is of its exports."""
    evidence = evidence_of(row).model_dump(mode="json")
    if isinstance(row, JobRow):
        row.evidence = evidence
        return
    session.execute(update(ItemRow).where(ItemRow.id == row.item_id).values(evidence=evidence))


def record_worker_death(
    database: Database, *, worker_prefix: str, reason: str, exit_signal: str | None, delay: float
) -> int:
    """Take from a worker that is known to have died what it held. Returns how many rows.

    Its leases run out now, and others may have the work after `delay` seconds. The attempts
    count: what it held may be what killed it.
    """
    now = now_seconds()
    values: dict[str, Any] = {
        # Just before now: the claims ask for leases that ran out.
        "lease_until": now - 0.001,
        "not_before": now + delay,
        "last_error": reason,
        "exit_signal": exit_signal,
    }
    held = update(SegmentRow).where(
        SegmentRow.status == SegmentStatus.RUNNING,
        SegmentRow.worker.startswith(worker_prefix, autoescape=True),
    )
    finishing = update(JobRow).where(
        JobRow.status == JobStatus.FINISHING,
        JobRow.lease_token.is_not(None),
        JobRow.worker.startswith(worker_prefix, autoescape=True),
    )
    with database.begin() as session:
        found = session.scalars(held.values(**values).returning(SegmentRow.id)).all()
        jobs = session.scalars(finishing.values(**values).returning(JobRow.id)).all()
    return len(found) + len(jobs)
