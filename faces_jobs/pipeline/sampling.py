"""Selects the frames of a video that are analysed."""

from __future__ import annotations

import math

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.values import Frame

# Matroska and FLV round times to milliseconds. A frame that would be at the boundary of two slots
# belongs to the later one; otherwise frames would share a slot even if they come at `max_fps`.
_ROUNDING_MS = 1.0


class Sampling:
    """Selects every n-th frame, and at most one of these in each slot of 1 / max_fps seconds."""

    def __init__(self, spec: JobSpec, *, after_ms: float | None = None) -> None:
        """Select from the first frame on.

        `after_ms` is the time of the last frame before it that the stride selects, if there is one.
        """
        self._stride = spec.frame_stride
        self._max_fps = spec.max_fps
        self._slot = None if after_ms is None else self._slot_of(after_ms)

    def selects(self, frame: Frame) -> bool:
        """Return whether the next frame is analysed. Call it once for each frame, in order."""
        if frame.index % self._stride:
            return False
        if self._max_fps is None:
            return True
        slot = self._slot_of(frame.time_ms)
        if slot == self._slot:
            return False
        self._slot = slot
        return True

    def _slot_of(self, time_ms: float) -> int | None:
        if self._max_fps is None:
            return None
        return math.floor((time_ms + _ROUNDING_MS) / 1000 * self._max_fps)
