"""Queries of a stage for the results of earlier stages: an item's parts, files and best shots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentFileRow, SegmentRow, TrackRow
from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import SegmentStatus


@dataclass(frozen=True, slots=True)
class BestShot:
    """The frame and box in which a track is seen best."""

    track: int
    frame_index: int
    time_ms: float
    box_xyxy: BoxXyxy


class PartSpan(NamedTuple):
    """The frames of one part of an item, and the document that its reader needs."""

    start_frame: int
    end_frame: int | None  # None: the item's last part
    document: dict[str, Any]


def parts_of(database: Database, item_id: int) -> list[PartSpan]:
    """Return the parts of an item, in order."""
    statement = (
        select(SegmentRow.start_frame, SegmentRow.end_frame, SegmentRow.part)
        .where(SegmentRow.item_id == item_id, SegmentRow.stage == Stage.FIND)
        .order_by(SegmentRow.segment_index)
    )
    with database.read() as session:
        return [PartSpan(*row) for row in session.execute(statement)]


def files_of(database: Database, item_id: int, kind: str) -> dict[int, str]:
    """Return the storage keys of an item's files of one kind, by the number of part or track."""
    statement = (
        select(SegmentFileRow.number, SegmentFileRow.storage_key)
        .where(SegmentFileRow.item_id == item_id, SegmentFileRow.kind == kind)
        .order_by(SegmentFileRow.number)
    )
    with database.read() as session:
        return {row.number: row.storage_key for row in session.execute(statement)}


def file_folders(database: Database, item_id: int) -> set[str]:
    """Return the storage folders of the files that an item's stages pass on."""
    statement = select(SegmentFileRow.storage_key).where(SegmentFileRow.item_id == item_id)
    with database.read() as session:
        return {key.rpartition("/")[0] for key in session.scalars(statement)}


def best_shots(
    database: Database, item_id: int, *, start_frame: int, end_frame: int | None
) -> list[BestShot]:
    """Return the best shots of tracks within a run of frames, ordered by frame."""
    statement = (
        select(TrackRow)
        .where(TrackRow.item_id == item_id, TrackRow.best_frame_index >= start_frame)
        .order_by(TrackRow.best_frame_index, TrackRow.track)
    )
    if end_frame is not None:
        statement = statement.where(TrackRow.best_frame_index < end_frame)
    with database.read() as session:
        return [
            BestShot(
                row.track,
                row.best_frame_index,
                row.best_time_ms,
                (row.best_left, row.best_top, row.best_right, row.best_bottom),
            )
            for row in session.scalars(statement)
        ]


def unrung_segments(database: Database, item_id: int) -> list[int]:
    """Return segments of later stages that were just added, for which no message was sent yet."""
    later = (Stage.LINK, Stage.DRAW, Stage.BIND)
    statement = (
        select(SegmentRow.id)
        .where(
            SegmentRow.item_id == item_id,
            SegmentRow.status == SegmentStatus.QUEUED,
            SegmentRow.stage.in_(later),
            SegmentRow.attempts == 0,
            SegmentRow.last_rung_at.is_(None),
        )
        .order_by(SegmentRow.segment_index)
    )
    with database.read() as session:
        return list(session.scalars(statement))
