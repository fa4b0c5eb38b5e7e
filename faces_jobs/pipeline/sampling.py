"""Which frames of a video are analysed."""

from __future__ import annotations

import math

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.values import Frame

_ROUNDING = 1e-6  # times are floats: a frame on the edge of a slot belongs to the slot it begins


class Sampling:
    """Every n-th frame, and of these at most one in each slot of 1 / max_fps seconds."""

    def __init__(self, spec: JobSpec) -> None:
        self._stride = spec.frame_stride
        self._max_fps = spec.max_fps
        self._slot: int | None = None

    def takes(self, frame: Frame) -> bool:
        """Whether this frame, the next in order of time, is analysed."""
        if frame.index % self._stride:
            return False
        if self._max_fps is None:
            return True
        slot = math.floor(frame.time_ms / 1000 * self._max_fps + _ROUNDING)
        if slot == self._slot:
            return False
        self._slot = slot
        return True
