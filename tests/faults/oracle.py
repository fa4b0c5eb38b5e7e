"""The results of a job as a multiset of lines, to compare a run with the undisturbed one.

A piece is a line of text that identifies the content of a row, a decoded frame, an audio packet or
a file. A piece that only the undisturbed run has is lost, one that only the disturbed run has is
doubled; one that differs is both.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from sqlalchemy import func, select

from faces_jobs.db.results.rows import read_faces, read_tracks
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, ItemRow, JobRow, ModelRow, SegmentRow

ITEM_COLUMNS = [
    *("position", "name", "status", "error_code", "kind", "format", "width", "height"),
    *("duration_ms", "face_count", "track_count"),
]

Pieces = Counter[str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run differs from the undisturbed one."""

    lost: list[str]
    doubled: list[str]


def compare(run: Pieces, undisturbed: Pieces) -> Verdict:
    """What a run lacks, and what it has in excess."""
    return Verdict(sorted((undisturbed - run).elements()), sorted((run - undisturbed).elements()))


def pieces(database: Database, files: Path, webhooks: list[str]) -> Pieces:
    """All that users see of all jobs in a database, and the distinct webhooks that arrived."""
    return Counter(
        [
            *_rows(database),
            *_files(database, files),
            *(f"webhook {number}" for number in range(len(set(webhooks)))),
        ]
    )


def repeated_attempts(database: Database) -> int:
    """How many attempts at segments and exports were repeats."""
    with database.read() as session:
        return sum(
            int(session.scalar(select(func.sum(table.attempts - 1)).where(table.attempts > 1)) or 0)
            for table in (SegmentRow, JobRow)
        )


def _rows(database: Database) -> Iterator[str]:
    with database.read() as session:
        for job in session.scalars(select(JobRow)):
            yield f"job {job.status} {job.error_code}"
            for name, face in read_faces(database, job.id):
                yield f"face of {name}: {face}"
            for name, track in read_tracks(database, job.id):
                yield f"track of {name}: {track}"
        for item in session.scalars(select(ItemRow)):
            yield "item " + " ".join(str(getattr(item, column)) for column in ITEM_COLUMNS)
        for position, model in session.execute(
            select(ItemRow.position, ModelRow).join(ItemRow, ItemRow.id == ModelRow.item_id)
        ):
            yield f"model of {position}: {model.name} {model.sha256} {model.unsure_below}"


def _files(database: Database, files: Path) -> Iterator[str]:
    with database.read() as session:
        artifacts = session.scalars(select(ArtifactRow)).all()
    for artifact in artifacts:
        path = files / artifact.storage_key
        about = f"{artifact.kind} {artifact.name} {artifact.media_type} {artifact.track}"
        if not path.is_file():
            yield f"{about}: no file"
            continue
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        whole = sha256 == artifact.sha256 and path.stat().st_size == artifact.bytes
        if artifact.kind != "annotated_video":
            yield f"{about}: {sha256} {whole}"
            continue
        yield f"{about}: {whole}"
        yield from _content(path)


def _content(path: Path) -> Iterator[str]:
    """Every decoded frame and every audio packet, with their times."""
    with av.open(str(path), "r") as container:
        for frame in container.decode(video=0):
            picture = hashlib.sha256(frame.to_ndarray(format="bgr24").tobytes()).hexdigest()
            yield f"picture at {frame.pts}: {picture}"
    with av.open(str(path), "r") as container:
        sounds: Any = container.streams.audio
        for packet in container.demux(sounds) if sounds else ():
            if packet.size:
                sound = hashlib.sha256(bytes(packet)).hexdigest()
                yield f"sound at {packet.pts}: {sound}"
