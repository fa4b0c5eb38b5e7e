"""Transitions between the stages of an item, made when the last of its open segments ends."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from faces_jobs.db.tables import SegmentFileRow, SegmentRow
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import SegmentStatus


def add_next_stage(session: Session, *, job_id: str, item_id: int) -> bool:
    """Add the segment of an item's next stage. Returns False if there is none.

    The caller has locked the item's row, so that only one of two concurrent workers adds it. Parts
    that failed don't keep the others from being linked, drawn and bound.
    """
    done = {
        Stage(row.stage): row.status
        for row in session.execute(
            select(SegmentRow.stage, SegmentRow.status)
            .where(SegmentRow.item_id == item_id)
            .distinct()
        )
    }
    if Stage.FIND not in done:
        return False
    if Stage.LINK not in done:
        found = select(SegmentFileRow.segment_id).where(SegmentFileRow.item_id == item_id)
        if session.scalar(found.limit(1)) is None:
            return False
        add_segment(session, Stage.LINK, job_id=job_id, item_id=item_id)
        return True
    if Stage.BIND not in done and done[Stage.LINK] is SegmentStatus.SUCCEEDED:
        add_segment(session, Stage.BIND, job_id=job_id, item_id=item_id)
        return True
    return False


def is_linked(session: Session, item_id: int) -> bool:
    """Whether an item's faces have tracks: not if the link stage failed, which was to add them."""
    failed = select(SegmentRow.id).where(
        SegmentRow.item_id == item_id,
        SegmentRow.stage == Stage.LINK,
        SegmentRow.status == SegmentStatus.FAILED,
    )
    return session.scalar(failed) is None


def add_segment(
    session: Session, stage: Stage, *, job_id: str, item_id: int, part: dict[str, Any] | None = None
) -> None:
    """Append a segment to those of an item. Its frames don't count as progress."""
    last = session.scalar(
        select(func.max(SegmentRow.segment_index)).where(SegmentRow.item_id == item_id)
    )
    session.execute(
        insert(SegmentRow).values(
            job_id=job_id,
            item_id=item_id,
            segment_index=(last or 0) + 1,
            status=SegmentStatus.QUEUED,
            stage=stage,
            part=part,
            frames_total=0,
        )
    )


def first_error(session: Session, item_id: int) -> dict[str, Any]:
    """Return the error of an item's first failed segment, as the values of the item's row."""
    code, message = session.execute(
        select(SegmentRow.error_code, SegmentRow.last_error)
        .where(SegmentRow.item_id == item_id, SegmentRow.status == SegmentStatus.FAILED)
        .order_by(SegmentRow.segment_index)
        .limit(1)
    ).one()
    return {"error_code": code, "error_message": message}
