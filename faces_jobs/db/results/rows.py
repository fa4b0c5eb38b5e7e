"""Conversion of faces, tracks and networks between records and rows, and their bulk I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.orm import Session

from faces_jobs.db.results.blocks import delete_blocks, write_block
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AttributeColumns, FaceRow, ItemRow, ModelRow, TrackRow
from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import Attribute, Attributes, FaceRecord, ModelVersion, TrackRecord
from faces_jobs.jobs.unsure import format_unsure_below

# Rows of one INSERT, and of one page of an export: large enough to amortise the round trip, small
# enough for memory.
CHUNK_ROWS = 2000

# One attrgetter for all columns (label, probability, label, ...), since exports read many rows.
_ATTRIBUTES_OF = attrgetter(*(name for head in HEADS for name in (head, f"{head}_probability")))


def attributes_of(row: AttributeColumns) -> Attributes:
    """Return the attributes of a row; heads that were off are absent."""
    values = _ATTRIBUTES_OF(row)
    return {
        head: Attribute(label, probability)
        for head, label, probability in zip(HEADS, values[::2], values[1::2], strict=True)
        if label is not None
    }


def replace_faces(
    session: Session,
    *,
    job_id: str,
    item_id: int,
    faces: Iterable[FaceRecord],
    start_frame: int = 0,
    end_frame: int | None = None,
) -> int:
    """Replace an item's faces in a run of frames. Returns the number of new faces."""
    old = delete(FaceRow).where(FaceRow.item_id == item_id, FaceRow.frame_index >= start_frame)
    if end_frame is not None:
        old = old.where(FaceRow.frame_index < end_frame)
    session.execute(old)
    connection = session.connection()
    delete_blocks(connection, item_id, start_frame=start_frame, end_frame=end_frame)
    count = 0
    rows = iter(faces)
    # Insert into the table, not the mapped class: the ORM's handling of each value would take as
    # long as the database does.
    into = insert(FaceRow.__table__)  # type: ignore[arg-type]  # it is a table
    while chunk := list(islice(rows, CHUNK_ROWS)):
        values = [face_values(job_id, item_id, face) for face in chunk]
        session.execute(into, values)
        write_block(connection, job_id, [(item_id, face) for face in chunk])
        count += len(chunk)
    return count


def replace_tracks(
    session: Session, *, job_id: str, item_id: int, tracks: Iterable[TrackRecord]
) -> int:
    """Replace an item's tracks. Returns the number of new tracks."""
    session.execute(delete(TrackRow).where(TrackRow.item_id == item_id))
    values = [track_values(job_id, item_id, track) for track in tracks]
    if values:
        session.execute(insert(TrackRow), values)
    return len(values)


def replace_models(session: Session, item_id: int, models: Sequence[ModelVersion]) -> None:
    """Replace the networks that an item was analysed with."""
    session.execute(delete(ModelRow).where(ModelRow.item_id == item_id))
    values = [model_values(item_id, model) for model in models]
    if values:
        session.execute(insert(ModelRow), values)


def read_faces(database: Database, job_id: str) -> Iterator[tuple[str, FaceRecord]]:
    """Yield every face of a job with its item's name, in the order of pages, read in chunks."""
    names = _item_names(database, job_id)
    for row in _rows_in_order(database, job_id, FaceRow):
        yield names[row.item_id], _face_record(row)


def read_tracks(database: Database, job_id: str) -> Iterator[tuple[str, TrackRecord]]:
    """Yield every track of a job with its item's name, in the order of pages, read in chunks."""
    names = _item_names(database, job_id)
    for row in _rows_in_order(database, job_id, TrackRow):
        yield names[row.item_id], _track_record(row)


def _rows_in_order(
    database: Database, job_id: str, of: type[FaceRow] | type[TrackRow]
) -> Iterator[Any]:
    """Yield a job's rows in the order of their primary key, read in chunks."""
    table: Any = of.__table__
    key = tuple(table.primary_key.columns)
    after = (-1,) * len(key)  # before all
    while True:
        statement = (
            select(table)
            .where(table.c.job_id == job_id, tuple_(*key) > tuple_(*after))
            .order_by(*key)
            .limit(CHUNK_ROWS)
        )
        with database.read() as session:
            rows = session.execute(statement).all()
        yield from rows
        if len(rows) < CHUNK_ROWS:
            return
        after = tuple(getattr(rows[-1], column.name) for column in key)


def _item_names(database: Database, job_id: str) -> dict[int, str]:
    with database.read() as session:
        rows = session.execute(select(ItemRow.id, ItemRow.name).where(ItemRow.job_id == job_id))
        return {row.id: row.name for row in rows}


def _attribute_values(attributes: Attributes) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for head in HEADS:
        found = attributes.get(head)
        values[head] = None if found is None else found.label
        values[f"{head}_probability"] = None if found is None else found.probability
    return values


def model_values(item_id: int, model: ModelVersion) -> dict[str, Any]:
    """Return the column values of a network."""
    return {
        "item_id": item_id,
        "name": model.name,
        "version": model.version,
        "sha256": model.sha256,
        "unsure_below": format_unsure_below(model.unsure_below),
    }


def face_values(job_id: str, item_id: int, face: FaceRecord) -> dict[str, Any]:
    """Return the column values of a face."""
    left, top, right, bottom = face.box_xyxy
    return {
        "job_id": job_id,
        "item_id": item_id,
        "frame_index": face.frame_index,
        "face_index": face.face_index,
        "time_ms": face.time_ms,
        "track": face.track,
        "box_left": left,
        "box_top": top,
        "box_right": right,
        "box_bottom": bottom,
        "score": face.score,
        **_attribute_values(face.attributes),
    }


def track_values(job_id: str, item_id: int, track: TrackRecord) -> dict[str, Any]:
    """Return the column values of a track."""
    left, top, right, bottom = track.best_box_xyxy
    return {
        "job_id": job_id,
        "item_id": item_id,
        "track": track.track,
        "first_frame_index": track.first_frame_index,
        "last_frame_index": track.last_frame_index,
        "first_time_ms": track.first_time_ms,
        "last_time_ms": track.last_time_ms,
        "face_count": track.face_count,
        "mean_score": track.mean_score,
        "best_frame_index": track.best_frame_index,
        "best_time_ms": track.best_time_ms,
        "best_left": left,
        "best_top": top,
        "best_right": right,
        "best_bottom": bottom,
        **_attribute_values(track.attributes),
    }


def _face_record(row: Any) -> FaceRecord:
    return FaceRecord(
        frame_index=row.frame_index,
        time_ms=row.time_ms,
        face_index=row.face_index,
        track=row.track,
        box_xyxy=(row.box_left, row.box_top, row.box_right, row.box_bottom),
        score=row.score,
        attributes=attributes_of(row),
    )


def _track_record(row: Any) -> TrackRecord:
    return TrackRecord(
        track=row.track,
        first_frame_index=row.first_frame_index,
        last_frame_index=row.last_frame_index,
        first_time_ms=row.first_time_ms,
        last_time_ms=row.last_time_ms,
        face_count=row.face_count,
        mean_score=row.mean_score,
        best_frame_index=row.best_frame_index,
        best_time_ms=row.best_time_ms,
        best_box_xyxy=(row.best_left, row.best_top, row.best_right, row.best_bottom),
        attributes=attributes_of(row),
    )
