"""Queries of the reconciler, which compares rows with broker and storage; each one is bounded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import has_active_job, is_orphaned
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, JobRow, SegmentRow
from faces_jobs.jobs.status import JobStatus, SegmentStatus


@dataclass(frozen=True, slots=True)
class StoredFileRow:
    """The columns of an artifact that concern its file."""

    id: int
    job_id: str
    storage_key: str
    missing: bool  # at the last check


def count_waiting_segments(database: Database, *, limit: int) -> int:
    """Count segments that wait for a worker, or whose lease expired, up to `limit`."""
    waiting = (
        select(SegmentRow.id)
        .where(or_(SegmentRow.status == SegmentStatus.QUEUED, is_orphaned()), has_active_job())
        .limit(limit)
        .subquery()
    )
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(waiting)) or 0


def finishing_jobs(database: Database, job_ids: Collection[str]) -> set[str]:
    """Return those of these jobs whose exports are to be written."""
    with database.read() as session:
        return set(
            session.scalars(
                select(JobRow.id).where(
                    JobRow.id.in_(job_ids), JobRow.status == JobStatus.FINISHING
                )
            )
        )


def existing_jobs(database: Database, job_ids: Collection[str]) -> set[str]:
    """Return those of these jobs that exist."""
    with database.read() as session:
        return set(session.scalars(select(JobRow.id).where(JobRow.id.in_(job_ids))))


def count_lost_leases(database: Database, *, limit: int) -> int:
    """Count segments whose lease expired, up to `limit`."""
    lost = select(SegmentRow.id).where(is_orphaned()).limit(limit).subquery()
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(lost)) or 0


def live_tokens(database: Database) -> set[str]:
    """Return the tokens of all leases, including expired ones that were not taken over yet."""
    with database.read() as session:
        return {
            *session.scalars(
                select(SegmentRow.lease_token).where(
                    SegmentRow.status == SegmentStatus.RUNNING, SegmentRow.lease_token.is_not(None)
                )
            ),
            *session.scalars(
                select(JobRow.lease_token).where(
                    JobRow.status == JobStatus.FINISHING, JobRow.lease_token.is_not(None)
                )
            ),
        }


def artifacts_after(database: Database, artifact_id: int, *, limit: int) -> list[StoredFileRow]:
    """Return the next artifacts, ordered by id."""
    statement = (
        select(
            ArtifactRow.id, ArtifactRow.job_id, ArtifactRow.storage_key, ArtifactRow.missing_since
        )
        .where(ArtifactRow.id > artifact_id)
        .order_by(ArtifactRow.id)
        .limit(limit)
    )
    with database.read() as session:
        return [
            StoredFileRow(row.id, row.job_id, row.storage_key, row.missing_since is not None)
            for row in session.execute(statement)
        ]


def mark_files(
    database: Database, *, missing: Sequence[int], found: Sequence[int]
) -> tuple[set[int], set[int]]:
    """Record which artifacts' files are missing, and which are found again.

    Returns those of each that are recorded: rows may have been deleted since they were read.
    """
    with database.begin() as session:
        return _mark(session, missing, now_seconds()), _mark(session, found, None)


def _mark(session: Session, artifact_ids: Sequence[int], since: object) -> set[int]:
    if not artifact_ids:
        return set()
    return set(
        session.scalars(
            update(ArtifactRow)
            .where(ArtifactRow.id.in_(artifact_ids))
            .values(missing_since=since)
            .returning(ArtifactRow.id)
        )
    )
