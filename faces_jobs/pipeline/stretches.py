"""Divides frames into stretches: runs of frames of which only the ends must be analysed in full.

Whatever holds at both ends of a stretch is assumed to hold in between. So a stretch never extends
over a scene cut. Nor does it extend over a key frame: videos are cut into parts at key frames, and
the parts must give the same rows as the whole video.
"""

from __future__ import annotations

from dataclasses import dataclass

from faces_jobs.jobs.spec import ADAPTIVE, JobSpec
from faces_jobs.pipeline.tracking import Scene, is_cut, scene_of
from faces_jobs.pipeline.values import Frame, MediaInfo

# Analysed frames per stretch, unless `detect_every` is larger.
MAX_STRETCH_FRAMES = 8
# At low frame rates the time limits a stretch: faces appear, leave and turn in half a second.
MAX_STRETCH_MS = 500.0
# All frames of a stretch are in memory at once: 23 of 720p, 2 of 4K.
STRETCH_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Consecutive analysed frames, of which the last is always analysed in full.

    They follow the last frame of the previous stretch, which serves as their other end. If
    `is_independent`, there is no other end, and the stretch is a single frame.
    """

    frames: list[Frame]
    is_independent: bool


class Stretches:
    """Divides a sequence of frames into stretches, by nothing but the frames themselves."""

    def __init__(self, max_analysed: int, max_frames: int) -> None:
        """Close each stretch at `max_analysed` analysed frames or `max_frames` frames in all."""
        self._max_analysed = max_analysed
        self._max_frames = max_frames
        self._boundaries = _Boundaries()
        self._closed: list[Stretch] = []
        self._open: list[Frame] = []
        self._open_frames = 0  # from the first of these on, including those not analysed
        self._last_ms = 0.0  # time of the last frame that is analysed in full

    @classmethod
    def for_item(cls, spec: JobSpec, info: MediaInfo) -> Stretches | None:
        """Return the stretches that the options need; None if all frames are analysed in full."""
        if info.is_still or (spec.detect_every == "1" and spec.classify == "every"):
            return None
        step = 1 if spec.detect_every == ADAPTIVE else int(spec.detect_every)
        frame_bytes = 3 * max(1, info.width) * max(1, info.height)
        return cls(step * max(1, MAX_STRETCH_FRAMES // step), max(2, STRETCH_BYTES // frame_bytes))

    @property
    def is_open(self) -> bool:
        """Whether the last analysed frames are not in a closed stretch yet."""
        return bool(self._open)

    def add(self, frame: Frame, *, analysed: bool) -> None:
        """Add the next frame. Frames that are not analysed must be added, too."""
        is_boundary = self._boundaries.add(frame, analysed=analysed)
        if is_boundary:
            self.close()
            self._closed.append(Stretch([frame], is_independent=True))
            self._last_ms = frame.time_ms
        elif analysed:
            self._open.append(frame)
        if not self._open:
            return
        self._open_frames += 1
        is_full = len(self._open) >= self._max_analysed or self._open_frames >= self._max_frames
        if is_full or frame.time_ms - self._last_ms >= MAX_STRETCH_MS:
            self.close()

    def close(self) -> None:
        """Close the open stretch, if there is one, with the last analysed frame."""
        if self._open:
            self._closed.append(Stretch(self._open, is_independent=False))
            self._last_ms = self._open[-1].time_ms
            self._open, self._open_frames = [], 0

    def take_closed(self) -> list[Stretch]:
        """Return the stretches that were closed since the last call."""
        closed, self._closed = self._closed, []
        return closed


class _Boundaries:
    """Finds the analysed frames that must not be related to any frame before.

    These are the first one, the first of each scene, and the first from each key frame on. Of
    several key frames in a row only the first counts.
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._is_due = True
        self._last_is_key = False

    def add(self, frame: Frame, *, analysed: bool) -> bool:
        """Return whether the next frame is one."""
        if frame.is_key and not self._last_is_key:
            self._is_due = True
        self._last_is_key = frame.is_key
        if not analysed:
            return False
        scene = scene_of(frame.picture_bgr)
        is_boundary = self._is_due or is_cut(self._scene, scene)
        self._scene, self._is_due = scene, False
        return is_boundary
