"""Frames that travel together through the stages, and what is known of the faces in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.pipeline.stretches import Stretch
from faces_jobs.pipeline.values import Detections, Frame, MediaInfo

# Larger frames travel in smaller batches: eight of 720p are 22 MB, one of 4K is 25 MB.
BATCH_BYTES = 24 * 1024**2

Turn = Callable[[str], AbstractContextManager[None]]
"""A batch's turn at something, by its name: all batches before it have had theirs."""


@dataclass(slots=True, eq=False)
class PendingFace:
    """One face of one frame, on its way to a record. Its opinion and sharpness come last."""

    frame: Frame
    detections: Detections
    detection: int
    track: int
    face_index: int
    opinion: dict[str, np.ndarray] = field(default_factory=dict)
    sharpness: float = 0.0

    @property
    def box_xyxy(self) -> BoxXyxy:
        """Where it is."""
        left, top, right, bottom = (
            float(side) for side in self.detections.boxes_xyxy[self.detection]
        )
        return left, top, right, bottom


@dataclass(slots=True, eq=False)
class Batch:
    """Some frames that follow each other.

    `stretches` divide those that are analysed, where not each is looked at in full. `seen` holds
    the faces, from left to right, of each frame that is analysed, by its index; it is filled by
    `following.TrackStage`.
    """

    frames: Sequence[Frame]
    analysed: Sequence[Frame]
    stretches: Sequence[Stretch] = ()
    faces_by_frame: dict[int, list[PendingFace]] = field(default_factory=dict)

    @property
    def faces(self) -> list[PendingFace]:
        """All of them, in order."""
        return [face for faces in self.faces_by_frame.values() for face in faces]


def frames_per_batch(info: MediaInfo, most: int) -> int:
    """How many frames of this size travel together; at least one, and at most so many."""
    frame_bytes = 3 * max(1, info.width) * max(1, info.height)
    return max(1, min(most, BATCH_BYTES // frame_bytes))
