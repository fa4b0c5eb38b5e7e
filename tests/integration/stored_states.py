"""Read a job's states from the database, and let a lease expire."""

from __future__ import annotations

from sqlalchemy import select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from tests.factories import StoredJob


def expire(database: Database, segment_id: int) -> None:
    """Make a segment's lease expire now."""
    with database.begin() as session:
        session.execute(
            update(SegmentRow)
            .where(SegmentRow.id == segment_id)
            .values(lease_until=now_seconds() - 1)
        )


def states(database: Database, job: StoredJob) -> tuple[str, list[str], list[str]]:
    """Return the states of a job, of its items and of its segments."""
    with database.read() as session:
        return (
            str(session.scalars(select(JobRow.status).where(JobRow.id == job.id)).one()),
            [
                str(status)
                for status in session.scalars(
                    select(ItemRow.status).where(ItemRow.job_id == job.id).order_by(ItemRow.id)
                )
            ],
            [
                str(status)
                for status in session.scalars(
                    select(SegmentRow.status)
                    .where(SegmentRow.job_id == job.id)
                    .order_by(SegmentRow.id)
                )
            ],
        )
