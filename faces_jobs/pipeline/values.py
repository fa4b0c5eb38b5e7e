"""The values that flow through the pipeline: frames, detections, opinions, faces, tracks.

Conventions, everywhere in the project:

* pictures are `uint8` arrays of shape (height, width, 3) in **BGR** order;
* boxes are `xyxy`: left, top, right, bottom, float pixels of the original frame, clamped to it;
* `frame_index` counts decoded frames of an item from 0, also those that a stride leaves out;
* `time_ms` comes from the stream's own timestamps, from 0 at the stream's start.
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
    """A picture that is made when it is first asked for, by whichever thread asks.

    What a decoder gives is in other colours and perhaps on its side. To make a picture of it
    costs half of what decoding does, which frames that nobody looks at are spared.
    """

    __slots__ = ("_held", "_lock")

    def __init__(self, make: Callable[[], Picture]) -> None:
        self._lock = threading.Lock()
        self._held: Callable[[], Picture] | Picture = make

    def made(self) -> Picture:
        """The picture, the same array each time; what it is made from is let go."""
        with self._lock:
            if isinstance(self._held, np.ndarray):
                return self._held
            self._held = self._held()
            return self._held


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame, upright (rotation applied) and with square pixels.

    `duration_ms` is how long it is shown, where the stream says so. `is_key`: it can be decoded
    without those before it.
    """

    index: int
    time_ms: float
    picture: Picture | LazyPicture
    duration_ms: float | None = None
    is_key: bool = False

    @property
    def picture_bgr(self) -> Picture:
        """(height, width, 3) uint8, BGR."""
        return self.picture.made() if isinstance(self.picture, LazyPicture) else self.picture


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file's header says, before any frame is decoded.

    `width` and `height` are of the upright picture with square pixels. `frame_count` and
    `duration_ms` are the container's claims and may be None or wrong: progress and the size of
    batches use them, results never do.
    """

    kind: str  # "image" or "video"; an animated image is a video
    format: str  # demuxer or image format, such as "mov", "matroska", "png"
    width: int
    height: int
    frame_count: int | None
    duration_ms: float | None
    average_rate: Fraction | None
    has_audio: bool
    time_base: Fraction | None = None  # seconds of one tick: every `time_ms` is whole ticks
    start_seconds: Fraction = Fraction(0)  # where the container's own clock stands at time 0

    @property
    def is_still(self) -> bool:
        """Whether it is one picture: what spares frames, or their judging, spares it nothing."""
        return self.kind == "image"


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


Opinion = Mapping[str, NDArray[np.float32]]
"""One network's probabilities for one crop: head name to (classes,) float32 that sum to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one frame: its record, and what the track's votes say so far.

    `record.attributes` holds this frame's own best labels; `settled` is what gets drawn, so
    that labels do not flicker; `opinion` holds the full probabilities behind both, also where
    one of them is `unsure`. `quality`
    (0..1) tells how good a shot it is: the first of the highest is the track's `best_*`.
    """

    record: FaceRecord
    opinion: Opinion
    settled: Attributes
    quality: float = 0.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run over one item did.

    `damaged_frames` were left out, or are shown in part, because the file is damaged there.
    `stage_seconds` are those that each stage was at work, added up over all threads;
    `waiting_seconds` those that decoding, the lanes and the sinks' thread waited for another.
    """

    frames_read: int
    frames_analysed: int
    faces: int
    tracks: int
    truncated: TruncatedError | None = None  # the file broke off; the counts are of what was read
    damaged_frames: int = 0
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    waiting_seconds: Mapping[str, float] = field(default_factory=dict)
