"""Batches of frames that pass through the stages together, and the faces in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.pipeline.stretches import Stretch
from faces_jobs.pipeline.values import Detections, Frame, MediaInfo

# Bounds the memory of a batch: eight frames of 720p are 22 MB, one of 4K is 25 MB.
BATCH_BYTES = 24 * 1024**2

Turn = Callable[[str], AbstractContextManager[None]]
"""Given the name of a step, waits until all earlier batches have left that step."""


@dataclass(slots=True, eq=False)
class PendingFace:
    """One face of one frame. Its opinion and sharpness are filled in by the classify stage.

    `detection` is the index of its box in `detections`.
    """

    frame: Frame
    detections: Detections
    detection: int
    track: int
    face_index: int
    opinion: dict[str, np.ndarray] = field(default_factory=dict)
    sharpness: float = 0.0

    @property
    def box_xyxy(self) -> BoxXyxy:
        """Its box, in pixels of the frame."""
        left, top, right, bottom = (
            float(side) for side in self.detections.boxes_xyxy[self.detection]
        )
        return left, top, right, bottom


@dataclass(slots=True, eq=False)
class Batch:
    """Some consecutive frames.

    `analysed` are those that the options select. `stretches` divide them, if not all of them are
    analysed in full. `faces_by_frame` maps the index of each to its faces, from left to right;
    `TrackStage` fills it.
    """

    frames: Sequence[Frame]
    analysed: Sequence[Frame]
    stretches: Sequence[Stretch] = ()
    faces_by_frame: dict[int, list[PendingFace]] = field(default_factory=dict)

    @property
    def faces(self) -> list[PendingFace]:
        """The faces of all frames, in order."""
        return [face for faces in self.faces_by_frame.values() for face in faces]


def frames_per_batch(info: MediaInfo, max_frames: int) -> int:
    """Return how many frames of this size make a batch: at least one, at most `max_frames`."""
    frame_bytes = 3 * max(1, info.width) * max(1, info.height)
    return max(1, min(max_frames, BATCH_BYTES // frame_bytes))
