"""Converts faces to compact JSON values and back, without loss, for internal files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faces_jobs.jobs.records import Attribute, Attributes, FaceRecord


def face_to_values(record: FaceRecord) -> list[Any]:
    """Return a face's values without its attributes."""
    position = [record.frame_index, record.time_ms, record.face_index, record.track]
    return [*position, *record.box_xyxy, record.score]


def face_from_values(values: Sequence[Any], attributes: Attributes) -> FaceRecord:
    """Return the record for the values of `face_to_values`, with these attributes."""
    frame_index, time_ms, face_index, track, left, top, right, bottom, score = values
    return FaceRecord(
        frame_index=frame_index,
        time_ms=time_ms,
        face_index=face_index,
        track=track,
        box_xyxy=(left, top, right, bottom),
        score=score,
        attributes=attributes,
    )


def attributes_to_values(attributes: Attributes) -> list[Any]:
    """Return head, label and probability of each attribute."""
    return [[head, each.label, each.probability] for head, each in attributes.items()]


def attributes_from_values(values: Sequence[Any]) -> dict[str, Attribute]:
    """Return the attributes for the values of `attributes_to_values`."""
    return {head: Attribute(label, probability) for head, label, probability in values}
