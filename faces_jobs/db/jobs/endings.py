"""The ends of jobs whose segments have all ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import JobClaim, lock_job_claim
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.end_effects import record_end
from faces_jobs.db.moves import move_jobs
from faces_jobs.db.results.artifacts import insert_artifacts
from faces_jobs.db.results.outcomes import NewArtifact
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import JobStatus, final_job_status


def finish_job(database: Database, claim: JobClaim, artifacts: Sequence[NewArtifact]) -> JobStatus:
    """Record a job's exports and end the job. Returns its final status.

    Raises:
        CancelledError, PausedError, LeaseLostError: the claim is no longer valid; nothing was
            changed.
    """
    with database.begin() as session:
        lock_job_claim(session, claim)
        session.execute(
            delete(ArtifactRow).where(
                ArtifactRow.job_id == claim.job_id, ArtifactRow.item_id.is_(None)
            )
        )
        insert_artifacts(session, claim.job_id, None, artifacts)
        items = select(ItemRow.status).where(ItemRow.job_id == claim.job_id).distinct()
        status = final_job_status(session.scalars(items))
        end_job(session, claim.job_id, status, error=None)
        return status


def end_job(
    session: Session, job_id: str, status: JobStatus, *, error: ErrorDocument | None
) -> None:
    """Move a finishing job to its final status; `error` is stored if given."""
    values: dict[str, Any] = {
        "lease_token": None,
        "lease_until": None,
        "ended_at": now_seconds(),
    }
    if error is not None:
        values |= {"error_code": error.code, "error_message": error.message}
    session.execute(move_jobs(status, JobRow.id == job_id, **values))
    record_end(session, job_id)
