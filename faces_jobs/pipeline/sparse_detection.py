"""Which frames a detector looks at: every n-th, or as many as it takes; the others are told.

The adaptive policy looks at both ends of a stretch and, where a face has come, gone or moved far
between them, at the frame in the middle, and so on in both halves. It goes by what detectors
say and nothing else, so it needs no tuning to one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.jobs.spec import ADAPTIVE, JobSpec
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.detect_stage import DetectStage
from faces_jobs.pipeline.prediction import interpolate, is_steady
from faces_jobs.pipeline.values import Detections, Frame

_Known = dict[int, Detections]  # the faces of a frame, by its index


class SparseDetection:
    """Finds the faces of batches that are whole stretches. One instance a run."""

    def __init__(self, detecting: DetectStage, spec: JobSpec) -> None:
        self._detecting = detecting
        self._is_adaptive = spec.detect_every == ADAPTIVE
        self._every = None if self._is_adaptive else int(spec.detect_every)
        self._last: tuple[Frame, Detections] | None = None  # of the batch before

    def find(self, batch: Batch, turn: Turn) -> list[Detections]:
        """The faces of each analysed frame of the batch, detected or predicted."""
        sure = [frame for stretch in batch.stretches for frame in self._sure(stretch.frames)]
        found = self._detecting.detect(sure)
        known = {frame.index: faces for frame, faces in zip(sure, found, strict=True)}
        with turn("detect"):
            before = self._last
            if sure:
                self._last = sure[-1], found[-1]
        for stretch in batch.stretches:
            if before is not None and not stretch.begins:
                self._fill(before[0], before[1], stretch.frames, known)
            last = stretch.frames[-1]
            before = last, known[last.index]
        return [known[frame.index] for frame in batch.analysed]

    def _sure(self, frames: Sequence[Frame]) -> list[Frame]:
        """Those of a stretch that are detected in any case: every n-th and the last."""
        if self._every is None:
            return list(frames[-1:])
        return [
            frame
            for count, frame in enumerate(frames, 1)
            if count % self._every == 0 or count == len(frames)
        ]

    def _fill(
        self, before: Frame, detections: Detections, frames: Sequence[Frame], known: _Known
    ) -> None:
        known[before.index] = detections
        between: list[Frame] = []
        for frame in frames:
            if frame.index not in known:
                between.append(frame)
                continue
            self._between(before, between, frame, known)
            before, between = frame, []

    def _between(self, before: Frame, frames: Sequence[Frame], after: Frame, known: _Known) -> None:
        if not frames:
            return
        first, last = known[before.index], known[after.index]
        if self._is_adaptive and not is_steady(first, last):
            at = len(frames) // 2
            middle = frames[at]
            [known[middle.index]] = self._detecting.detect([middle])
            self._between(before, frames[:at], middle, known)
            self._between(middle, frames[at + 1 :], after, known)
            return
        elapsed = after.time_ms - before.time_ms
        for frame in frames:
            share = (frame.time_ms - before.time_ms) / elapsed if elapsed else 0.0
            known[frame.index] = interpolate(first, last, share)
