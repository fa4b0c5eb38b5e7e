"""Stretches: runs of frames between two that are looked at in full, so that others can be spared.

What is true of both ends of a stretch is taken to be true in between. So a stretch never reaches
over a scene's cut, nor over a key frame: videos are cut into parts at key frames, and parts
have to give the rows that a run over the whole gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from faces_jobs.pipeline.tracking import Scene, is_cut, scene_of
from faces_jobs.pipeline.values import Frame

# Faces come and go, and turn, within this time, however few frames there are in it.
LONGEST_MS = 500.0


class Timed(Protocol):
    """Anything that has its time in the video."""

    @property
    def time_ms(self) -> float:
        """Of the frame, from the stream's start."""


T = TypeVar("T", bound=Timed)


@dataclass(frozen=True, slots=True)
class Stretch(Generic[T]):
    """Frames in order, of which the last is looked at in full.

    They follow the last of the stretch before, which they lean on; or `begins` is set: nothing
    before them counts. Then it is one frame.
    """

    frames: list[T]
    begins: bool


class Stretches(Generic[T]):
    """Divides frames that come one by one into stretches of at most so many."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._held: list[T] = []
        self._last_ms: float | None = None  # of the last frame that was looked at in full

    def add(self, frame: T, *, begins: bool) -> list[Stretch[T]]:
        """Those that this frame, the next in order, completes.

        `begins`: nothing before it tells of it. The frame before it is then looked at in full.
        """
        if begins or self._last_ms is None:
            ended = self.finish()
            self._last_ms = frame.time_ms
            return [*ended, Stretch([frame], begins=True)]
        self._held.append(frame)
        is_long = len(self._held) >= self._longest
        if is_long or frame.time_ms - self._last_ms >= LONGEST_MS:
            return self.finish()
        return []

    def finish(self) -> list[Stretch[T]]:
        """The stretch that ends with the last frame there is, if it has not ended already."""
        if not self._held:
            return []
        ended, self._held = self._held, []
        self._last_ms = ended[-1].time_ms
        return [Stretch(ended, begins=False)]


class Beginnings:
    """Tells at which analysed frames nothing before counts.

    They are the first one, the first of a scene, and the first from a key frame on. Where all
    frames are key frames they tell nothing.
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._is_due = True
        self._last_is_key = False

    def see(self, frame: Frame, *, analysed: bool) -> bool:
        """Whether this frame, the next in order, is such a one. Takes also those left out."""
        if frame.is_key and not self._last_is_key:
            self._is_due = True
        self._last_is_key = frame.is_key
        if not analysed:
            return False
        scene = scene_of(frame.picture_bgr)
        begins = self._is_due or is_cut(self._scene, scene)
        self._scene, self._is_due = scene, False
        return begins
