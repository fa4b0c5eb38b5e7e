"""Writes exports: faces as CSV, JSON Lines and Parquet, tracks as CSV. See docs/exports.md.

The columns have a version: columns may be added at the end, but changing the meaning of one or
removing one requires a new version. Rows are streamed: memory use doesn't depend on their number.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import Attributes, FaceRecord, TrackRecord
from faces_jobs.jobs.spreadsheets import escape_formula

SCHEMA_VERSION = 1
ROWS_PER_GROUP = 20_000

Value = str | int | float | None
Row = list[Value]
Write = Callable[[Sequence[Row]], None]
Columns = Sequence[tuple[str, pa.DataType]]

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
"""Name and type of the columns of faces.csv, faces.jsonl and faces.parquet."""

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
"""Name and type of the columns of tracks.csv."""


def write_faces(folder: Path, faces: Iterable[tuple[str, FaceRecord]]) -> None:
    """Write (item name, face) pairs as faces.csv, faces.jsonl and faces.parquet, in one pass.

    Absent attributes are empty in CSV, null elsewhere; Parquet's metadata contains the version.
    Existing files are replaced once all three are complete.
    """
    with ExitStack() as opened:
        paths = [opened.enter_context(_replacing(folder / name)) for name in _FACE_WRITERS]
        writers = [
            opened.enter_context(open_(path))
            for path, open_ in zip(paths, _FACE_WRITERS.values(), strict=True)
        ]
        for rows in _row_groups(_face_row(*face) for face in faces):
            for write in writers:
                write(rows)


def write_tracks_csv(path: Path, tracks: Iterable[tuple[str, TrackRecord]]) -> None:
    """Write (item name, track) pairs as CSV, UTF-8 with a header; absent attributes are empty."""
    with _replacing(path) as part, _csv(part, TRACK_COLUMNS) as write:
        for rows in _row_groups(_track_row(*track) for track in tracks):
            write(rows)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, renamed to `path` if the block succeeds."""
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _csv(path: Path, columns: Columns = FACE_COLUMNS) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # RFC 4180: lines end with CR LF
        writer.writerow([name for name, _ in columns])
        # The item's name is the only text that users provide.
        yield lambda rows: writer.writerows([_cell(row[0]), *row[1:]] for row in rows)


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    names = [name for name, _ in FACE_COLUMNS]
    text_of = json.JSONEncoder(ensure_ascii=False).encode

    def line_of(row: Row) -> str:
        return text_of({"version": SCHEMA_VERSION, **dict(zip(names, row, strict=True))}) + "\n"

    with path.open("w", encoding="utf-8") as file:
        yield lambda rows: file.writelines(map(line_of, rows))


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    schema = pa.schema(
        [pa.field(name, kind) for name, kind in FACE_COLUMNS],
        metadata={"faces_jobs.version": str(SCHEMA_VERSION)},
    )

    def batch_of(rows: Sequence[Row]) -> pa.RecordBatch:
        columns = [
            pa.array(column, kind)
            for column, (_, kind) in zip(zip(*rows, strict=True), FACE_COLUMNS, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield lambda rows: writer.write_batch(batch_of(rows))


_FACE_WRITERS: Mapping[str, Callable[[Path], AbstractContextManager[Write]]] = {
    "faces.csv": _csv,
    "faces.jsonl": _jsonl,
    "faces.parquet": _parquet,
}


def _cell(value: Value) -> Value:
    return escape_formula(value) if isinstance(value, str) else value


def _row_groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while group := list(islice(rows, ROWS_PER_GROUP)):
        yield group


def _face_row(item: str, face: FaceRecord) -> Row:
    place: list[Value] = [item, face.frame_index, face.time_ms, face.face_index, face.track]
    return [*place, *face.box_xyxy, face.score, *_attribute_cells(face.attributes)]


def _track_row(item: str, track: TrackRecord) -> Row:
    span: list[Value] = [
        item,
        track.track,
        track.first_frame_index,
        track.last_frame_index,
        track.first_time_ms,
        track.last_time_ms,
    ]
    totals: list[Value] = [track.face_count, track.mean_score]
    best: list[Value] = [track.best_frame_index, track.best_time_ms, *track.best_box_xyxy]
    return [*span, *totals, *best, *_attribute_cells(track.attributes)]


def _attribute_cells(attributes: Attributes) -> Iterator[Value]:
    for head in HEADS:
        attribute = attributes.get(head)
        yield attribute.label if attribute else None
        yield attribute.probability if attribute else None
