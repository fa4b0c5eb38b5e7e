"""Detects faces in some frames, and interpolates them in the frames between.

With a fixed step, every n-th frame of a stretch is detected. The adaptive policy detects both ends
of a stretch and, if a face appeared, left or moved far between them, the frame in the middle, and
so on in both halves. It depends only on the detections, so it needs no tuning to a detector.
"""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.jobs.spec import ADAPTIVE, JobSpec
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.stages.detect import DetectStage
from faces_jobs.pipeline.stages.interpolation import interpolate, is_steady
from faces_jobs.pipeline.values import Detections, Frame

_ByFrame = dict[int, Detections]  # by the index of their frame


class SparseDetection:
    """A detection stage for batches of whole stretches. Lanes share one instance per item."""

    def __init__(self, detect_stage: DetectStage, spec: JobSpec) -> None:
        self._detect_stage = detect_stage
        self._is_adaptive = spec.detect_every == ADAPTIVE
        self._step = None if self._is_adaptive else int(spec.detect_every)
        self._last: tuple[Frame, Detections] | None = None  # of the batch before

    def detect(self, batch: Batch, turn: Turn) -> list[Detections]:
        """Return the detections of each analysed frame of the batch, detected or interpolated."""
        frames = [frame for stretch in batch.stretches for frame in self._selected(stretch.frames)]
        detections = self._detect_stage.detect_frames(frames)
        known = {frame.index: each for frame, each in zip(frames, detections, strict=True)}
        with turn("detect"):
            before = self._last
            if frames:
                self._last = frames[-1], detections[-1]
        for stretch in batch.stretches:
            if before is not None and not stretch.is_independent:
                self._fill(before[0], before[1], stretch.frames, known)
            last = stretch.frames[-1]
            before = last, known[last.index]
        return [known[frame.index] for frame in batch.analysed]

    def _selected(self, frames: Sequence[Frame]) -> list[Frame]:
        """The frames of a stretch to detect in any case: every n-th and the last."""
        if self._step is None:
            return list(frames[-1:])
        return [
            frame
            for count, frame in enumerate(frames, 1)
            if count % self._step == 0 or count == len(frames)
        ]

    def _fill(
        self, before: Frame, detections: Detections, frames: Sequence[Frame], known: _ByFrame
    ) -> None:
        """Add the missing detections of a stretch, given those of the frame before it."""
        known[before.index] = detections
        between: list[Frame] = []
        for frame in frames:
            if frame.index not in known:
                between.append(frame)
                continue
            self._fill_between(before, between, frame, known)
            before, between = frame, []

    def _fill_between(
        self, before: Frame, frames: Sequence[Frame], after: Frame, known: _ByFrame
    ) -> None:
        if not frames:
            return
        first, last = known[before.index], known[after.index]
        if self._is_adaptive and not is_steady(first, last):
            middle_index = len(frames) // 2
            middle = frames[middle_index]
            [known[middle.index]] = self._detect_stage.detect_frames([middle])
            self._fill_between(before, frames[:middle_index], middle, known)
            self._fill_between(middle, frames[middle_index + 1 :], after, known)
            return
        elapsed = after.time_ms - before.time_ms
        for frame in frames:
            fraction = (frame.time_ms - before.time_ms) / elapsed if elapsed else 0.0
            known[frame.index] = interpolate(first, last, fraction)
