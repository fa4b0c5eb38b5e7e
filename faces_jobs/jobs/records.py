"""Faces, tracks and their attributes: plain values that pipeline, sinks and database share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BoxXyxy = tuple[float, float, float, float]
"""Left, top, right, bottom: float pixels of the original frame."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A label, or `unsure`, and the probability of the most probable label."""

    label: str
    probability: float


Attributes = Mapping[str, Attribute]
"""Head name ("gender", "age", ...) -> attribute. Heads that are switched off are absent."""


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """One face in one frame, with the attributes classified in this frame."""

    frame_index: int  # among all decoded frames of the item, from 0
    time_ms: float  # by the stream's timestamps, 0 at its start
    face_index: int  # from 0 within the frame, left to right
    track: int  # from 1 within the item
    box_xyxy: BoxXyxy
    score: float
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """One face through the frames of an item, with its attributes by vote."""

    track: int
    first_frame_index: int
    last_frame_index: int
    first_time_ms: float
    last_time_ms: float
    face_count: int
    mean_score: float
    best_frame_index: int
    best_time_ms: float
    best_box_xyxy: BoxXyxy
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """The version of a network, recorded with the results of every item that it processed."""

    name: str  # "gender", "expression", "multiple" or "detector"
    version: str
    sha256: str
    unsure_below: Mapping[str, float] = field(default_factory=dict)  # in force, by head
