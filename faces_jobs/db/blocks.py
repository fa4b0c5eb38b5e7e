"""Sums up faces that are written together, so that questions need not look at each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert

from faces_jobs.db.tables.blocks import FACE_BLOCKS, PAIRS, bit_of, bounds_of, pair_of
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.records import FaceRecord

Placed = tuple[int, FaceRecord]
"""A face with the number of its item."""

_NOBODY: dict[str, Any] = {
    name: None
    for head, labels in LABELS_WITH_UNSURE.items()
    for label in labels
    for name in bounds_of(head, label)
}


def write_block(connection: Connection, job_id: str, faces: Sequence[Placed]) -> None:
    """Write the row of faces that are written in the same transaction, in any order."""
    if faces:
        connection.execute(insert(FACE_BLOCKS), [block_values(job_id, faces)])


def delete_blocks(
    connection: Connection, item_id: int, *, start_frame: int = 0, end_frame: int | None = None
) -> None:
    """Delete the rows of an item's faces that are about to be deleted.

    Rows of which some faces stay are left: they go with the job.
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
    """A block as the values of its row."""
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
        **_NOBODY,
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
        lowest, highest = bounds_of(head, label)
        bounds[lowest], bounds[highest] = min(probabilities), max(probabilities)
    return bounds


def _pairs(faces: Iterable[FaceRecord]) -> dict[str, int]:
    # Of thousands of faces few have labels that no other has.
    looks = {
        tuple((head, found.label) for head, found in face.attributes.items()) for face in faces
    }
    bits = dict.fromkeys((pair_of(*pair) for pair in PAIRS), 0)
    for look in looks:
        labels = dict(look)
        for one, other in PAIRS:
            if one in labels and other in labels:
                bits[pair_of(one, other)] |= bit_of(one, labels[one], other, labels[other])
    return bits
