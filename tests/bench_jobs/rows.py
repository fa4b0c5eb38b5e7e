"""Fills a database with millions of synthetic faces in many jobs, one of which has a tenth of all.

Labels are distributed as unevenly as in real data: some belong to half of the faces, some to one
in thousands; some pairs never occur together, and one label occurs only in the last job.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, insert, text

from faces_jobs.db.migrate import downgrade, upgrade
from faces_jobs.db.session import Database
from faces_jobs.db.tables import FaceRow, ItemRow, JobRow, TrackRow
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE

BIG_SHARE = 10  # one in this many faces belongs to the large job
JOB_FACES = 10_000
REVISION_BEFORE_BLOCKS = "0011"  # the last schema without the table of blocks of faces
FACES_PER_TRACK = 50
INSERT_CHUNK = 20_000  # rows per statement
HUNDRED_HOURS_MS = 360_000_000.0
"""A time at which no item has a face."""

# Weights of labels, in parts per thousand. `beard` and `female` never occur together.
SHARES: dict[str, dict[str, float]] = {
    "gender": {"female": 450, "unsure": 80, "male": 470},
    "expression": {
        "happiness": 250,
        "sadness": 60,
        "anger": 30,
        "surprise": 20,
        "fear": 4,
        "disgust": 0.3,
        "unsure": 100,
        "neutral": 535.7,
    },
    "illumination": {"bad": 100, "high": 200, "unsure": 150, "medium": 550},
    "pose": {"left": 120, "right": 120, "up": 20, "down": 40, "unsure": 50, "frontal": 650},
    "occlusion": {
        "glasses": 120,
        "beard": 60,
        "ornaments": 20,
        "hair": 40,
        "unsure": 60,
        "none": 700,
    },
    "age": {"child": 30, "old": 90, "middle": 350, "unsure": 100, "young": 430},
    "makeup": {"over": 2, "unsure": 98, "partial": 900},
}
ONLY_IN_LAST_JOB = ("occlusion", "hand")
NEVER_USED = ("occlusion", "others")


@dataclass(frozen=True, slots=True)
class Population:
    """Ids of rows to query."""

    rows: int
    big_job: str
    small_job: str
    last_job: str
    big_item: int
    big_track: int


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    job_id: str
    faces: int
    kind: str
    in_last_job: bool


def populate(database: Database, rows: int) -> Population:
    """Fill an empty database with `rows` faces; its indexes are created after the rows."""
    jobs = _jobs(rows)
    items = list(_items(jobs))
    url = database.engine.url.render_as_string(hide_password=False)
    downgrade(url, REVISION_BEFORE_BLOCKS)
    with database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        _insert(
            connection, JobRow, (_job(job_id, number) for number, (job_id, _) in enumerate(jobs))
        )
        _insert(connection, ItemRow, (_item(each) for each in items))
        indexes = list(FaceRow.__table__.indexes)  # type: ignore[attr-defined]  # it is a Table
        for index in indexes:
            index.drop(connection)
        if database.dialect == "postgresql":
            _copy(connection, items)
        else:
            _insert_many(connection, items)
        for index in indexes:
            index.create(connection)
        big = next(each for each in items if each.job_id == jobs[0][0])
        _insert(connection, TrackRow, _tracks(big))
    upgrade(url)  # its migration builds the blocks of the faces, as in an older database
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(
            text("VACUUM ANALYZE" if database.dialect == "postgresql" else "ANALYZE")
        )
    return Population(
        rows=rows,
        big_job=jobs[0][0],
        small_job=jobs[len(jobs) // 2][0],
        last_job=jobs[-1][0],
        big_item=big.number,
        big_track=big.faces // FACES_PER_TRACK // 2,
    )


def _jobs(rows: int) -> list[tuple[str, int]]:
    big = rows // BIG_SHARE
    count = max(2, (rows - big) // JOB_FACES)
    return [
        (f"00000000-0000-4000-8000-{n:012d}", big if n == 0 else JOB_FACES)
        for n in range(count + 1)
    ]


def _items(jobs: list[tuple[str, int]]) -> Iterator[_Item]:
    """Ten videos in the large job; in others four videos or, in every 20th, photographs."""
    number = 0
    for index, (job_id, faces) in enumerate(jobs):
        videos = 10 if index == 0 else 4
        has_photographs = index % 20 == 19
        for _ in range(faces // 2 if has_photographs else videos):
            number += 1
            yield _Item(
                number,
                job_id,
                2 if has_photographs else faces // videos,
                "image" if has_photographs else "video",
                index == len(jobs) - 1,
            )


def _job(job_id: str, number: int) -> dict[str, Any]:
    return {
        "id": job_id,
        "status": "succeeded",
        "label": "",
        "options": {},
        "created_at": float(number),
        "started_at": float(number),
        "ended_at": float(number) + 1,
        "attempts": 1,
    }


def _item(item: _Item) -> dict[str, Any]:
    return {
        "id": item.number,
        "job_id": item.job_id,
        "position": item.number,
        "name": f"{item.number}",
        "status": "succeeded",
        "bytes": 1,
        "source": "",
        "kind": item.kind,
        "face_count": item.faces,
        "track_count": max(1, item.faces // FACES_PER_TRACK),
    }


def _tracks(item: _Item) -> Iterator[dict[str, Any]]:
    rng = random.Random(1)
    for track in range(1, item.faces // FACES_PER_TRACK + 1):
        frame = track * FACES_PER_TRACK // 2
        labels = _labels(rng, in_last_job=False)
        yield {
            "item_id": item.number,
            "track": track,
            "job_id": item.job_id,
            "first_frame_index": frame,
            "last_frame_index": frame + 24,
            "first_time_ms": frame * 40.0,
            "last_time_ms": frame * 40.0 + 960,
            "face_count": FACES_PER_TRACK,
            "mean_score": 0.9,
            "best_frame_index": frame,
            "best_time_ms": frame * 40.0,
            "best_left": 0.0,
            "best_top": 0.0,
            "best_right": 1.0,
            "best_bottom": 1.0,
            **dict(zip(_LABEL_COLUMNS, labels, strict=True)),
        }


_LABEL_COLUMNS = [name for head in LABELS_WITH_UNSURE for name in (head, f"{head}_probability")]
_COLUMNS = [
    "item_id",
    "frame_index",
    "face_index",
    "job_id",
    "time_ms",
    "track",
    "box_left",
    "box_top",
    "box_right",
    "box_bottom",
    "score",
    *_LABEL_COLUMNS,
]


def _faces(items: list[_Item]) -> Iterator[tuple[Any, ...]]:
    """Rows of two faces per frame, whose labels change after every ten faces."""
    rng = random.Random(0)
    for item in items:
        labels = _labels(rng, in_last_job=item.in_last_job)
        for number in range(item.faces):
            if number % 10 == 0:
                labels = _labels(rng, in_last_job=item.in_last_job)
            frame = number // 2
            yield (
                item.number,
                frame,
                number % 2,
                item.job_id,
                frame * 40.0,
                number // FACES_PER_TRACK + 1,
                10.0,
                20.0,
                60.0,
                80.0,
                0.5 + 0.5 * rng.random(),
                *labels,
            )


_WEIGHTS = {head: (tuple(shares), tuple(shares.values())) for head, shares in SHARES.items()}


def _labels(rng: random.Random, *, in_last_job: bool) -> list[Any]:
    values: list[Any] = []
    for head in LABELS_WITH_UNSURE:
        names, weights = _WEIGHTS[head]
        label = rng.choices(names, weights)[0]
        if label == "beard" and values[0] == "female":
            label = "none"
        if in_last_job and head == ONLY_IN_LAST_JOB[0] and rng.random() < 0.01:
            label = ONLY_IN_LAST_JOB[1]
        values += [label, 0.35 + 0.65 * rng.random() if label != "unsure" else 0.4]
    return values


def _copy(connection: Connection, items: list[_Item]) -> None:
    raw: Any = connection.connection.dbapi_connection  # psycopg's, which has more than the DBAPI
    rows = _faces(items)
    with (
        raw.cursor() as cursor,
        cursor.copy(f"COPY faces ({', '.join(_COLUMNS)}) FROM STDIN") as copy,
    ):
        while chunk := list(islice(rows, INSERT_CHUNK)):
            # No value contains a tab or newline. Writing row by row would take three times as long.
            copy.write("".join("\t".join(map(str, row)) + "\n" for row in chunk))


def _insert_many(connection: Connection, items: list[_Item]) -> None:
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    placeholders = ", ".join("?" * len(_COLUMNS))
    raw.executemany(
        f"INSERT INTO faces ({', '.join(_COLUMNS)}) VALUES ({placeholders})", _faces(items)
    )


def _insert(connection: Connection, table: type[Any], rows: Iterator[dict[str, Any]]) -> None:
    while chunk := list(islice(rows, INSERT_CHUNK)):
        connection.execute(insert(table), chunk)
