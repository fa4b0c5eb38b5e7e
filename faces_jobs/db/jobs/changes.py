"""Changes of whole jobs: insert, cancel, and start finishing.

To avoid deadlocks, locks are always taken in the order segments, items, job; and always as FOR NO
KEY UPDATE (`key_share`), since inserting a row that refers to a job or item takes a FOR KEY SHARE
lock on it: two transactions that each inserted one would deadlock when upgrading to FOR UPDATE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, insert, literal, select
from sqlalchemy.orm import Session

from faces_jobs.db.claims.fencing import lock_all_segments
from faces_jobs.db.claims.release import UNTRIED_VALUES
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_kept
from faces_jobs.db.jobs.discarding import discard_partial_results
from faces_jobs.db.jobs.end_effects import record_end
from faces_jobs.db.moves import move_items, move_jobs, move_segments
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.errors import MediaError, NotFoundError, StateError
from faces_jobs.jobs.spec import PRIORITY_RANKS, JobSpec
from faces_jobs.jobs.status import ACTIVE_JOBS, OPEN_ITEMS, ItemStatus, JobStatus, SegmentStatus


@dataclass(frozen=True, slots=True)
class NewItem:
    """A file of a new job. With an `error` its item starts as failed."""

    name: str
    bytes: int
    source: str | None
    kind: str | None = None
    modified_ns: int | None = None
    error: MediaError | None = None


def store_job(
    session: Session,
    job_id: str,
    spec: JobSpec,
    items: Sequence[NewItem],
    *,
    root: str | None,
    owner: str = "",
) -> list[int]:
    """Insert a job with its items and segments. Returns the segments' ids in the items' order."""
    now = now_seconds()
    session.execute(
        insert(JobRow).values(
            id=job_id,
            status=JobStatus.QUEUED,
            label=spec.label,
            owner=owner,
            priority=PRIORITY_RANKS[spec.priority],
            item_count=len(items),
            bytes=sum(item.bytes for item in items),
            options=spec.model_dump(mode="json"),
            root=root,
            created_at=now,
            attempts=0,
        )
    )
    # With SQLAlchemy Core and without returning ids, which would take four times as long: other
    # submissions wait meanwhile (see `db.jobs.limits`).
    session.connection().execute(
        insert(ItemRow.__table__),  # type: ignore[arg-type]  # it is a table
        [_item_values(job_id, position, item) for position, item in enumerate(items)],
    )
    session.execute(
        move_items(
            ItemStatus.FAILED, ItemRow.job_id == job_id, ItemRow.error_code.is_not(None)
        ).values(started_at=now, ended_at=now)
    )
    return insert_segments(session, ItemRow.job_id == job_id, ItemRow.error_code.is_(None))


def insert_segments(session: Session, *which: ColumnElement[bool]) -> list[int]:
    """Insert a segment for each of these items of a job. Returns their ids in the items' order."""
    session.execute(
        insert(SegmentRow).from_select(
            ["job_id", "item_id", "segment_index", "status", "frames_total"],
            select(
                ItemRow.job_id,
                ItemRow.id,
                literal(0),
                literal(SegmentStatus.QUEUED, SegmentRow.status.type),
                case((ItemRow.kind == "image", 1)),
            )
            .where(*which)
            .order_by(ItemRow.position),
        )
    )
    inserted = select(SegmentRow.id).join(ItemRow, ItemRow.id == SegmentRow.item_id).where(*which)
    return list(session.scalars(inserted.order_by(ItemRow.position)))


def _item_values(job_id: str, position: int, item: NewItem) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "position": position,
        "name": item.name,
        "status": ItemStatus.QUEUED,
        "error_code": item.error.code if item.error else None,
        "error_message": str(item.error) if item.error else None,
        "bytes": item.bytes,
        "source": item.source,
        "modified_ns": item.modified_ns,
        "kind": item.kind,
    }


def cancel_job(session: Session, job_id: str) -> None:
    """Cancel a job with its open items and segments; workers notice it at their next renewal.

    A job that is already cancelled is left unchanged.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended otherwise.
    """
    now = now_seconds()
    lock_all_segments(session, job_id)
    session.execute(
        move_segments(SegmentStatus.CANCELLED, SegmentRow.job_id == job_id, ended_at=now)
    )
    discard_partial_results(session, ItemRow.job_id == job_id)
    session.execute(move_items(ItemStatus.CANCELLED, ItemRow.job_id == job_id, ended_at=now))
    moved = session.scalar(
        move_jobs(JobStatus.CANCELLED, JobRow.id == job_id, ended_at=now).returning(JobRow.id)
    )
    if moved is not None:
        record_end(session, job_id)
        return
    status = session.scalar(select(JobRow.status).where(JobRow.id == job_id, is_kept()))
    if status is None:
        raise NotFoundError(f"There is no job {job_id}.")
    if status is not JobStatus.CANCELLED:
        raise StateError(f"The job has already ended ({status}): there is nothing to cancel.")


def start_finishing_if_done(session: Session, job_id: str) -> bool:
    """Move an active job to `finishing` if all its items ended. Returns whether this call did so.

    The job's row is locked before its items are checked: if two workers end the last two items at
    once, the second one to get the lock sees the other's item as ended.
    """
    session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update(key_share=True))
    if has_open_items(session, job_id):
        return False
    moved = session.scalar(
        move_jobs(
            JobStatus.FINISHING,
            JobRow.id == job_id,
            JobRow.status.in_(ACTIVE_JOBS),  # a held job is finished once it is resumed
            **UNTRIED_VALUES,
        ).returning(JobRow.id)
    )
    return moved is not None


def has_open_items(session: Session, job_id: str) -> bool:
    """Return whether any item of a job has not ended."""
    found = session.scalar(
        select(ItemRow.id).where(ItemRow.job_id == job_id, ItemRow.status.in_(OPEN_ITEMS)).limit(1)
    )
    return found is not None
