"""Which frames of a video are analysed."""

from __future__ import annotations

import math

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.values import Frame

_ROUNDING = 1e-6  # times are floats: a frame on the edge of a slot belongs to the slot it begins


class Sampling:
    """Every n-th frame, and of these at most one in each slot of 1 / max_fps seconds."""

    def __init__(self, spec: JobSpec, *, after_ms: float | None = None) -> None:
        """Begin at the start; or behind the frame of that time, the last that the stride took."""
        self._stride = spec.frame_stride
        self._max_fps = spec.max_fps
        self._slot = None if after_ms is None else self._slot_of(after_ms)

    def takes(self, frame: Frame) -> bool:
        """Whether this frame, the next in order of time, is analysed."""
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
        return math.floor(time_ms / 1000 * self._max_fps + _ROUNDING)
