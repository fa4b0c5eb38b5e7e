"""The values that the stages of the pipeline exchange: frames, detections, opinions, faces.

Conventions throughout the project:

* pictures are `uint8` arrays of shape (height, width, 3) in **BGR** order;
* boxes are `xyxy`: left, top, right, bottom in float pixels of the original frame, clamped to it;
* `frame_index` counts the decoded frames of an item from 0, including those that a stride skips;
* `time_ms` is derived from the timestamps of the stream and is 0 at its start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from faces_jobs.errors import TruncatedError
from faces_jobs.jobs.records import Attributes, FaceRecord

Picture = NDArray[np.uint8]
"""(height, width, 3) uint8, BGR."""

Boxes = NDArray[np.float32]
"""(n, 4) float32, xyxy pixels of the original frame."""


class LazyPicture:
    """A picture that is converted from a decoded frame on first access. Thread-safe.

    Converting the colours and the orientation of a frame costs half as much as decoding it;
    frames whose picture is never accessed skip that cost.
    """

    __slots__ = ("_lock", "_source")

    def __init__(self, convert: Callable[[], Picture]) -> None:
        self._lock = threading.Lock()
        self._source: Callable[[], Picture] | Picture = convert

    def get(self) -> Picture:
        """Return the picture, the same array each time; releases what it was converted from."""
        with self._lock:
            if isinstance(self._source, np.ndarray):
                return self._source
            self._source = self._source()
            return self._source


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame, upright (rotation applied) and with square pixels.

    `duration_ms` is how long it is shown, None if unknown. `is_key` marks a key frame, which can
    be decoded without the frames before it.
    """

    index: int
    time_ms: float
    picture: Picture | LazyPicture
    duration_ms: float | None = None
    is_key: bool = False

    @property
    def picture_bgr(self) -> Picture:
        """(height, width, 3) uint8, BGR."""
        return self.picture.get() if isinstance(self.picture, LazyPicture) else self.picture


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The properties of a file, mostly from its header.

    `width` and `height` are those of the upright picture with square pixels. `frame_count` and
    `duration_ms` come from the container and may be None or wrong: they serve progress and the
    size of batches, never results.
    """

    kind: str  # "image" or "video"; an animated image is a video
    format: str  # demuxer or image format, such as "mov", "matroska", "png"
    width: int
    height: int
    frame_count: int | None
    duration_ms: float | None
    average_rate: Fraction | None
    has_audio: bool
    time_base: Fraction | None = None  # seconds per tick; every `time_ms` is a multiple of it
    start_seconds: Fraction = Fraction(0)  # the container's timestamp at `time_ms` 0

    @property
    def is_still(self) -> bool:
        """Whether it is a single picture, for which skipping frames or faces makes no sense."""
        return self.kind == "image"


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The boxes that a detector found in one frame, sorted by descending score.

    `boxes_xyxy` is (n, 4) float32, `scores` (n,) float32 in 0..1, `landmarks` (n, 5, 2) float32
    pixels: right eye, left eye, nose, right and left mouth corner, where left and right are the
    subject's own; None if the detector predicts no landmarks.
    """

    boxes_xyxy: Boxes
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)


Opinion = Mapping[str, NDArray[np.float32]]
"""The probabilities of one crop: head name to (classes,) float32 that sum to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one frame: its record, and the attributes of its track so far.

    `record.attributes` holds the most likely labels of this frame alone. `settled` holds those
    that the track has settled to; it is what gets drawn, so that labels don't flicker. `opinion`
    holds the probabilities of every head, including those that are `unsure`. `quality` (0..1)
    rates the shot: the first face with the highest quality becomes the track's `best_*`.
    """

    record: FaceRecord
    opinion: Opinion
    settled: Attributes
    quality: float = 0.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """The counts and timings of a run over one item.

    `damaged_frames` were left out, or are incomplete, because the file is damaged.
    `stage_seconds` is the time spent in each stage, summed over all threads; `waiting_seconds` is
    the time that decoding, the lanes and the thread of the sinks waited for one another.
    """

    frames_read: int
    frames_analysed: int
    faces: int
    tracks: int
    truncated: TruncatedError | None = None  # the file is cut off; counts cover what was read
    damaged_frames: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    waiting_seconds: Mapping[str, float] = field(default_factory=dict)
