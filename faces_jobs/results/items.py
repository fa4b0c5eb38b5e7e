"""Reads the items of jobs as documents: state, progress, counts, errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow, SegmentRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.documents import ItemDocument, ItemPage
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.jobs.status import ItemStatus
from faces_jobs.results.pages import (
    COUNT_RANGE,
    check_job_exists,
    check_limit,
    decode_cursor,
    encode_cursor,
)
from faces_jobs.results.progress import Work, item_fraction, progress
from faces_jobs.results.shared_fields import (
    database_now,
    error_of,
    evidence_of,
    seconds_between,
)


def list_items(
    database: Database,
    job_id: str,
    *,
    status: ItemStatus | None = None,
    cursor: str | None = None,
    limit: int = DEFAULT_PAGE_SIZE,
) -> ItemPage:
    """Return a page of a job's items, in order of position: all, or those in one state.

    Raises:
        NotFoundError: there is no such job.
        OptionsError: the cursor or limit is invalid.
    """
    check_limit(limit)
    after = decode_cursor(cursor, (COUNT_RANGE,))
    statement = select(ItemRow).where(ItemRow.job_id == job_id).order_by(ItemRow.position)
    if status is not None:
        statement = statement.where(ItemRow.status == status)
    if after is not None:
        statement = statement.where(ItemRow.position > after[0])
    with database.read() as session:
        check_job_exists(session, job_id)
        rows = session.scalars(statement.limit(limit + 1)).all()
        shown = rows[:limit]
        return ItemPage(
            items=_item_documents(session, job_id, shown),
            next_cursor=encode_cursor([shown[-1].position]) if len(rows) > limit else None,
        )


def get_item(database: Database, job_id: str, item_id: int) -> ItemDocument:
    """Return one item of a job.

    Raises:
        NotFoundError: there is no such job, or it has no such item.
    """
    with database.read() as session:
        check_job_exists(session, job_id)
        row = session.scalar(select(ItemRow).where(ItemRow.id == item_id, ItemRow.job_id == job_id))
        if row is None:
            raise NotFoundError(f"Job {job_id} has no item {item_id}.")
        return _item_documents(session, job_id, [row])[0]


def _item_documents(session: Session, job_id: str, rows: Sequence[ItemRow]) -> list[ItemDocument]:
    ids = [row.id for row in rows]
    frames, missing = _frames_of(session, ids), _missing_files(session, ids)
    now = database_now(session)
    job_status = session.scalar(select(JobRow.status).where(JobRow.id == job_id))
    return [
        _item_document(
            row,
            frames.get(row.id, _Frames()),
            now,
            missing.get(row.id, 0),
            on_hold=job_status is not None and job_status.held,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frame counts of an item, summed over its segments."""

    done: int = 0
    total: int | None = None
    damaged: int = 0


def _item_document(
    row: ItemRow, frames: _Frames, now: float, missing_files: int, *, on_hold: bool
) -> ItemDocument:
    seconds = seconds_between(row.started_at, row.ended_at, now)
    work = Work(frames.done, frames.total, row.status.ended, seconds)
    return ItemDocument(
        id=row.id,
        position=row.position,
        name=row.name,
        status=row.status,
        error=error_of(row),
        evidence=evidence_of(row),
        kind=row.kind,
        format=row.format,
        width=row.width,
        height=row.height,
        duration_ms=row.duration_ms,
        bytes=row.bytes,
        face_count=row.face_count,
        track_count=row.track_count,
        damaged_frames=frames.damaged,
        missing_files=missing_files,
        progress=progress(work, item_fraction(work), on_hold=on_hold),
    )


def _missing_files(session: Session, item_ids: Sequence[int]) -> dict[int, int]:
    statement = (
        select(ArtifactRow.item_id, func.count())
        .where(ArtifactRow.item_id.in_(item_ids), ArtifactRow.missing_since.is_not(None))
        .group_by(ArtifactRow.item_id)
    )
    return {int(item_id or 0): count for item_id, count in session.execute(statement)}


def _frames_of(session: Session, item_ids: Sequence[int]) -> dict[int, _Frames]:
    rows = session.execute(frames_by_item().where(SegmentRow.item_id.in_(item_ids)))
    return {
        row.item_id: _Frames(
            int(row.done), None if row.total is None else int(row.total), int(row.damaged)
        )
        for row in rows
    }


def frames_by_item() -> Select[Any]:
    """Sum the frames of each item's segments; no total while that of any segment is unknown."""
    known = func.count(SegmentRow.frames_total) == func.count()
    return select(
        SegmentRow.item_id,
        func.sum(SegmentRow.frames_shown).label("done"),
        case((known, func.sum(SegmentRow.frames_total))).label("total"),
        func.sum(SegmentRow.damaged_frames).label("damaged"),
    ).group_by(SegmentRow.item_id)
