"""Exports: faces as CSV, JSON Lines and Parquet, tracks as CSV. docs/exports.md has every column.

The columns are version 1: columns may be added at the end, none changes its meaning or goes
away without a new version. All of them stream: memory does not grow with the number of rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import Attributes, FaceRecord, TrackRecord

SCHEMA_VERSION = 1
ROWS_A_GROUP = 20_000
# A spreadsheet takes a text cell that begins so for a formula; a quote before it makes it text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Value = str | int | float | None

_ATTRIBUTES: tuple[tuple[str, pa.DataType], ...] = tuple(
    column
    for head in HEADS
    for column in ((head, pa.string()), (f"{head}_probability", pa.float32()))
)

FACE_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("item", pa.string()),
    ("frame_index", pa.int64()),
    ("time_ms", pa.float64()),
    ("face_index", pa.int32()),
    ("track", pa.int32()),
    ("left", pa.float32()),
    ("top", pa.float32()),
    ("right", pa.float32()),
    ("bottom", pa.float32()),
    ("score", pa.float32()),
    *_ATTRIBUTES,
)
"""Columns of faces.csv, faces.jsonl and faces.parquet: name and type."""

TRACK_COLUMNS: tuple[tuple[str, pa.DataType], ...] = (
    ("item", pa.string()),
    ("track", pa.int32()),
    ("first_frame_index", pa.int64()),
    ("last_frame_index", pa.int64()),
    ("first_time_ms", pa.float64()),
    ("last_time_ms", pa.float64()),
    ("face_count", pa.int64()),
    ("mean_score", pa.float32()),
    ("best_frame_index", pa.int64()),
    ("best_time_ms", pa.float64()),
    ("best_left", pa.float32()),
    ("best_top", pa.float32()),
    ("best_right", pa.float32()),
    ("best_bottom", pa.float32()),
    *_ATTRIBUTES,
)
"""Columns of tracks.csv: name and type."""


def write_faces_csv(path: Path, faces: Iterable[tuple[str, FaceRecord]]) -> None:
    """Write (item name, face) pairs as CSV, UTF-8 with a header; absent attributes are empty."""
    _write_csv(path, [name for name, _ in FACE_COLUMNS], (_face_row(*face) for face in faces))


def write_tracks_csv(path: Path, tracks: Iterable[tuple[str, TrackRecord]]) -> None:
    """Write (item name, track) pairs as CSV, UTF-8 with a header; absent attributes are empty."""
    _write_csv(path, [name for name, _ in TRACK_COLUMNS], (_track_row(*track) for track in tracks))


def write_faces_jsonl(path: Path, faces: Iterable[tuple[str, FaceRecord]]) -> None:
    """Write (item name, face) pairs as JSON Lines; absent attributes are null."""
    names = [name for name, _ in FACE_COLUMNS]
    with path.open("w", encoding="utf-8") as file:
        for face in faces:
            row = dict(zip(names, _face_row(*face), strict=True))
            file.write(json.dumps({"version": SCHEMA_VERSION, **row}, ensure_ascii=False) + "\n")


def write_faces_parquet(path: Path, faces: Iterable[tuple[str, FaceRecord]]) -> None:
    """Write (item name, face) pairs as Parquet; the file's metadata holds the version."""
    schema = pa.schema(
        [pa.field(name, kind) for name, kind in FACE_COLUMNS],
        metadata={"faces_jobs.version": str(SCHEMA_VERSION)},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for rows in _groups(_face_row(*face) for face in faces):
            columns = [
                pa.array(column, kind)
                for column, (_, kind) in zip(zip(*rows, strict=True), FACE_COLUMNS, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _write_csv(path: Path, header: list[str], rows: Iterable[list[Value]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # RFC 4180: lines end with CR LF
        writer.writerow(header)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Value) -> Value:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def _groups(rows: Iterator[list[Value]]) -> Iterator[list[list[Value]]]:
    while group := list(islice(rows, ROWS_A_GROUP)):
        yield group


def _face_row(item: str, face: FaceRecord) -> list[Value]:
    place: list[Value] = [item, face.frame_index, face.time_ms, face.face_index, face.track]
    return [*place, *face.box_xyxy, face.score, *_attribute_cells(face.attributes)]


def _track_row(item: str, track: TrackRecord) -> list[Value]:
    span: list[Value] = [
        item,
        track.track,
        track.first_frame_index,
        track.last_frame_index,
        track.first_time_ms,
        track.last_time_ms,
    ]
    worth: list[Value] = [track.face_count, track.mean_score]
    best: list[Value] = [track.best_frame_index, track.best_time_ms, *track.best_box_xyxy]
    return [*span, *worth, *best, *_attribute_cells(track.attributes)]


def _attribute_cells(attributes: Attributes) -> Iterator[Value]:
    for head in HEADS:
        attribute = attributes.get(head)
        yield attribute.label if attribute else None
        yield attribute.probability if attribute else None
