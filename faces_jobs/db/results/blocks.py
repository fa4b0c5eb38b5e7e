"""Writes the summaries of blocks of faces, by which queries skip blocks that can't match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert

from faces_jobs.db.tables.blocks import (
    FACE_BLOCKS,
    HEAD_PAIRS,
    bounds_columns,
    pair_bit,
    pair_column,
)
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.records import FaceRecord

Placed = tuple[int, FaceRecord]
"""A face with the id of its item."""

_NO_PROBABILITIES: dict[str, Any] = {
    name: None
    for head, labels in LABELS_WITH_UNSURE.items()
    for label in labels
    for name in bounds_columns(head, label)
}


def write_block(connection: Connection, job_id: str, faces: Sequence[Placed]) -> None:
    """Insert the summary of faces that the same transaction inserts, in any order."""
    if faces:
        connection.execute(insert(FACE_BLOCKS), [block_values(job_id, faces)])


def delete_blocks(
    connection: Connection, item_id: int, *, start_frame: int = 0, end_frame: int | None = None
) -> None:
    """Delete the summaries of an item's faces that are about to be deleted.

    Summaries that also cover other faces are kept until the job is deleted.
    """
    old = delete(FACE_BLOCKS).where(
        FACE_BLOCKS.c.first_item == item_id,
        FACE_BLOCKS.c.last_item == item_id,
        FACE_BLOCKS.c.first_frame >= start_frame,
    )
    if end_frame is not None:
        old = old.where(FACE_BLOCKS.c.last_frame < end_frame)
    connection.execute(old)


def block_values(job_id: str, faces: Sequence[Placed]) -> dict[str, Any]:
    """Return the column values of a block."""
    keys = [(item, face.frame_index, face.face_index) for item, face in faces]
    records = [face for _, face in faces]
    first, last = min(keys), max(keys)
    return {
        "job_id": job_id,
        "first_item": first[0],
        "first_frame": first[1],
        "first_face": first[2],
        "last_item": last[0],
        "last_frame": last[1],
        "last_face": last[2],
        "min_time_ms": min(face.time_ms for face in records),
        "max_time_ms": max(face.time_ms for face in records),
        "min_track": min(face.track for face in records),
        "max_track": max(face.track for face in records),
        "max_score": max(face.score for face in records),
        **_NO_PROBABILITIES,
        **_probabilities(records),
        **_pairs(records),
    }


def _probabilities(faces: Iterable[FaceRecord]) -> dict[str, float]:
    given: dict[tuple[str, str], list[float]] = {}
    for face in faces:
        for head, found in face.attributes.items():
            given.setdefault((head, found.label), []).append(found.probability)
    bounds: dict[str, float] = {}
    for (head, label), probabilities in given.items():
        lowest, highest = bounds_columns(head, label)
        bounds[lowest], bounds[highest] = min(probabilities), max(probabilities)
    return bounds


def _pairs(faces: Iterable[FaceRecord]) -> dict[str, int]:
    # Thousands of faces have few distinct combinations of labels.
    combinations = {
        tuple((head, found.label) for head, found in face.attributes.items()) for face in faces
    }
    bits = dict.fromkeys((pair_column(*pair) for pair in HEAD_PAIRS), 0)
    for combination in combinations:
        labels = dict(combination)
        for one, other in HEAD_PAIRS:
            if one in labels and other in labels:
                bits[pair_column(one, other)] |= pair_bit(one, labels[one], other, labels[other])
    return bits
