"""Stretches: runs of frames between two that are looked at in full, so that others can be spared.

What is true of both ends of a stretch is taken to be true in between. So a stretch never reaches
over a scene's cut, nor over a key frame: videos are cut into parts at key frames, and parts
have to give the rows that a run over the whole gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from faces_jobs.jobs.spec import ADAPTIVE, JobSpec
from faces_jobs.pipeline.tracking import Scene, is_cut, scene_of
from faces_jobs.pipeline.values import Frame, MediaInfo

# Analysed frames of a stretch, where the options don't ask for more.
LONGEST = 8
# Faces come and go, and turn, within this time, however few frames there are in it.
LONGEST_MS = 500.0
# All frames of a stretch are held at once: 23 of 720p, 2 of 4K.
STRETCH_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Analysed frames in order, of which the last is looked at in full.

    They follow the last of the stretch before, which they lean on; or `begins` is set: nothing
    before them counts. Then it is one frame.
    """

    frames: list[Frame]
    begins: bool


class Stretches:
    """Divides frames, which come one by one, into stretches. It goes by the frames alone."""

    def __init__(self, longest: int, most_held: int) -> None:
        """End each stretch at so many analysed frames, and before more are held in all."""
        self._longest = longest
        self._most_held = most_held
        self._beginnings = _Beginnings()
        self._ended: list[Stretch] = []
        self._open: list[Frame] = []
        self._held = 0  # since the first of those, with those that are not analysed
        self._last_ms = 0.0  # of the last frame that is looked at in full

    @classmethod
    def wanted(cls, spec: JobSpec, info: MediaInfo) -> Stretches | None:
        """Those that the options ask for; None: every frame is looked at in full."""
        if info.is_still or (spec.detect_every == "1" and spec.classify == "every"):
            return None
        step = 1 if spec.detect_every == ADAPTIVE else int(spec.detect_every)
        frame_bytes = 3 * max(1, info.width) * max(1, info.height)
        return cls(step * max(1, LONGEST // step), max(2, STRETCH_BYTES // frame_bytes))

    @property
    def is_open(self) -> bool:
        """Whether the last of the analysed frames so far is yet to be decided on."""
        return bool(self._open)

    def see(self, frame: Frame, *, analysed: bool) -> None:
        """Take the next frame in order; also those that are not analysed."""
        begins = self._beginnings.see(frame, analysed=analysed)
        if begins:
            self.finish()
            self._ended.append(Stretch([frame], begins=True))
            self._last_ms = frame.time_ms
        elif analysed:
            self._open.append(frame)
        if not self._open:
            return
        self._held += 1
        is_long = len(self._open) >= self._longest or self._held >= self._most_held
        if is_long or frame.time_ms - self._last_ms >= LONGEST_MS:
            self.finish()

    def finish(self) -> None:
        """End the stretch that is open with the last analysed frame there is."""
        if self._open:
            self._ended.append(Stretch(self._open, begins=False))
            self._last_ms = self._open[-1].time_ms
            self._open, self._held = [], 0

    def take(self) -> list[Stretch]:
        """Those that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended


class _Beginnings:
    """Tells at which analysed frames nothing before counts.

    They are the first one, the first of a scene, and the first from a key frame on. Where all
    frames are key frames they tell nothing.
    """

    def __init__(self) -> None:
        self._scene: Scene | None = None
        self._is_due = True
        self._last_is_key = False

    def see(self, frame: Frame, *, analysed: bool) -> bool:
        if frame.is_key and not self._last_is_key:
            self._is_due = True
        self._last_is_key = frame.is_key
        if not analysed:
            return False
        scene = scene_of(frame.picture_bgr)
        begins = self._is_due or is_cut(self._scene, scene)
        self._scene, self._is_due = scene, False
        return begins
