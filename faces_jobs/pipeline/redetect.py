"""Which frames a detector looks at: every n-th, or as many as it takes; the others are told.

The adaptive policy looks at both ends of a stretch and, where a face has come, gone or moved far
between them, at the frame in the middle, and so on in both halves. It goes by what detectors
say and nothing else, so it needs no tuning to one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faces_jobs.jobs.spec import ADAPTIVE, JobSpec
from faces_jobs.pipeline.prediction import is_steady, predict
from faces_jobs.pipeline.stretches import Stretch, Stretches
from faces_jobs.pipeline.values import Detections, Frame

# Of the adaptive policy: so many frames are spared at most, less one.
LONGEST_ADAPTIVE = 8

Detect = Callable[[Frame], Detections]
"""The faces of one frame that count: of sufficient score and size."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A frame and its faces; `predicted`: no detector looked at it."""

    frame: Frame
    detections: Detections
    predicted: bool = False


class Redetection:
    """Finds the faces of frames that come one by one. One instance a run.

    Holds back the frames of one stretch: those it has yet to decide on.
    """

    def __init__(self, spec: JobSpec, detect: Detect) -> None:
        """Detect as the spec says, by calling `detect` on frames in no particular order."""
        self._is_adaptive = spec.detect_every == ADAPTIVE
        self._stretches: Stretches[Frame] = Stretches(
            LONGEST_ADAPTIVE if self._is_adaptive else int(spec.detect_every)
        )
        self._detect = detect
        self._last: Found | None = None

    def add(self, frame: Frame, *, begins: bool) -> list[Found]:
        """What this frame, the next in order, lets be known: frames in order, up to itself.

        `begins`: see `Beginnings`.
        """
        return self._work_on(self._stretches.add(frame, begins=begins))

    def finish(self) -> list[Found]:
        """What was held back, after the last frame."""
        return self._work_on(self._stretches.finish())

    def _work_on(self, stretches: list[Stretch[Frame]]) -> list[Found]:
        return [found for stretch in stretches for found in self._find(stretch)]

    def _find(self, stretch: Stretch[Frame]) -> list[Found]:
        last = Found(stretch.frames[-1], self._detect(stretch.frames[-1]))
        before, self._last = self._last, last
        if before is None or stretch.begins:
            return [last]
        return [*self._between(before, stretch.frames[:-1], last), last]

    def _between(self, before: Found, frames: list[Frame], after: Found) -> list[Found]:
        if not frames:
            return []
        if self._is_adaptive and not is_steady(before.detections, after.detections):
            at = len(frames) // 2
            middle = Found(frames[at], self._detect(frames[at]))
            return [
                *self._between(before, frames[:at], middle),
                middle,
                *self._between(middle, frames[at + 1 :], after),
            ]
        elapsed = after.frame.time_ms - before.frame.time_ms
        return [
            Found(
                frame,
                predict(
                    before.detections,
                    after.detections,
                    (frame.time_ms - before.frame.time_ms) / elapsed if elapsed else 0.0,
                ),
                predicted=True,
            )
            for frame in frames
        ]
