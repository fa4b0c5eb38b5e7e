"""Faces as values of JSON, for files that only this program reads: to the bit, and short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faces_jobs.jobs.records import Attribute, Attributes, FaceRecord


def values_of_face(record: FaceRecord) -> list[Any]:
    """All but its attributes."""
    place = [record.frame_index, record.time_ms, record.face_index, record.track]
    return [*place, *record.box_xyxy, record.score]


def face_of(values: Sequence[Any], attributes: Attributes) -> FaceRecord:
    """The record that gave these values, with these attributes."""
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


def values_of_attributes(attributes: Attributes) -> list[Any]:
    """Head, label and probability of each."""
    return [[head, each.label, each.probability] for head, each in attributes.items()]


def attributes_of(values: Sequence[Any]) -> dict[str, Attribute]:
    """The attributes that gave these values."""
    return {head: Attribute(label, probability) for head, label, probability in values}
