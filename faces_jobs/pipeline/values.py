"""The values that flow through the pipeline: frames, detections, opinions, faces, tracks.

Conventions, everywhere in the project:

* pictures are `uint8` arrays of shape (height, width, 3) in **BGR** order;
* boxes are `xyxy`: left, top, right, bottom, float pixels of the original frame, clamped to it;
* `frame_index` counts decoded frames of an item from 0, also those that a stride leaves out;
* `time_ms` comes from the stream's own timestamps, from 0 at the stream's start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(height, width, 3) uint8, BGR."""

Boxes = NDArray[np.float32]
"""(n, 4) float32, xyxy pixels of the original frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame, upright (rotation applied)."""

    index: int
    time_ms: float
    picture_bgr: Picture


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file's header says, before any frame is decoded.

    `width` and `height` are of the upright picture. `frame_count` and `duration_ms` are the
    container's claims and may be None or wrong: progress uses them, results never do.
    """

    kind: str  # "image" or "video"; an animated image is a video
    format: str  # demuxer or image format, such as "mov", "matroska", "png"
    width: int
    height: int
    frame_count: int | None
    duration_ms: float | None
    average_rate: Fraction | None
    has_audio: bool


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The boxes that a detector found in one frame, best score first.

    `boxes_xyxy` is (n, 4) float32, `scores` (n,) float32 in 0..1, `landmarks` (n, 5, 2) float32
    pixels (right eye, left eye, nose, right and left mouth corner, as in the picture seen by
    the subject), or None where the detector gives none.
    """

    boxes_xyxy: Boxes
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A label and its probability."""

    label: str
    probability: float


Attributes = Mapping[str, Attribute]
"""Head name ("gender", "age", ...) to what was settled for it. Heads switched off are absent."""

Opinion = Mapping[str, NDArray[np.float32]]
"""One network's probabilities for one crop: head name to (classes,) float32 that sum to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one frame: where it is, whose track it belongs to, what each head said.

    `opinion` holds this frame's own probabilities; `attributes` their best labels;
    `settled` what the track's votes say so far, which is what gets drawn.
    """

    frame_index: int
    time_ms: float
    face_index: int  # from 0 within the frame, left to right
    track: int  # from 1 within the item
    box_xyxy: tuple[float, float, float, float]
    score: float
    opinion: Opinion
    attributes: Attributes
    settled: Attributes


@dataclass(frozen=True, slots=True, eq=False)
class TrackSummary:
    """One face through the frames of an item, with the attributes its votes settled to."""

    track: int
    first_frame_index: int
    last_frame_index: int
    first_time_ms: float
    last_time_ms: float
    face_count: int
    mean_score: float
    best_frame_index: int
    best_box_xyxy: tuple[float, float, float, float]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run over one item did, with the seconds each stage took."""

    frames_read: int
    frames_analysed: int
    faces: int
    tracks: int
    warnings: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
