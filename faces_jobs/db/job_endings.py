"""How a job ends, once its segments have: each ending first checks the claim's token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.artifacts import insert_artifacts
from faces_jobs.db.claims import JobClaim, lost_job, mine_to_finish
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.ended import record_end
from faces_jobs.db.moves import move_jobs
from faces_jobs.db.outcomes import NewArtifact
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import JobStatus, status_of_ended


def finish_job(database: Database, claim: JobClaim, artifacts: Sequence[NewArtifact]) -> JobStatus:
    """Record a job's exports and end it. Returns the state in which it ended.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        _lock_job(session, claim)
        session.execute(
            delete(ArtifactRow).where(
                ArtifactRow.job_id == claim.job_id, ArtifactRow.item_id.is_(None)
            )
        )
        insert_artifacts(session, claim.job_id, None, artifacts)
        items = session.scalars(select(ItemRow.status).where(ItemRow.job_id == claim.job_id))
        return end_job(session, claim.job_id, status_of_ended(items.all()), error=None)


def hand_back_job(
    database: Database,
    claim: JobClaim,
    *,
    reason: str,
    counts: bool,
    delay_seconds: float = 0.0,
) -> None:
    """Put a job that is to be finished back, for any worker to take after `delay_seconds`.

    Raises:
        CancelledError, LeaseLostError: the claim no longer holds; nothing was changed.
    """
    with database.begin() as session:
        _lock_job(session, claim)
        session.execute(
            update(JobRow)
            .where(mine_to_finish(claim))
            .values(
                lease_token=None,
                lease_until=None,
                last_error=reason,
                attempts=JobRow.attempts if counts else JobRow.attempts - 1,
                last_rung_at=now_seconds() if counts else None,
                not_before=now_seconds() + delay_seconds if delay_seconds else None,
            )
        )


def end_job(
    session: Session, job_id: str, status: JobStatus, *, error: ErrorDocument | None
) -> JobStatus:
    """Move a finishing job to its last state. An error of the job itself is kept if it has one."""
    values: dict[str, Any] = {
        "lease_token": None,
        "lease_until": None,
        "ended_at": now_seconds(),
    }
    if error is not None:
        values |= {"error_code": error.code, "error_message": error.message}
    session.execute(move_jobs(status, JobRow.id == job_id, **values))
    record_end(session, job_id)
    return status


def _lock_job(session: Session, claim: JobClaim) -> None:
    held = session.scalar(
        select(JobRow.id).where(mine_to_finish(claim)).with_for_update(key_share=True)
    )
    if held is None:
        raise lost_job(session, claim)
