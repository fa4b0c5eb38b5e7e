"""The tracking stage: links the faces of each frame to tracks, in order.

Whatever depends on earlier frames of the item is decided here, frame by frame, so that it depends
neither on the batch size nor on the number of lanes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.batches import Batch, PendingFace
from faces_jobs.pipeline.protocols import Tracker
from faces_jobs.pipeline.values import Detections, Frame


class TrackStage:
    """Tracks the faces of one item. Batches must come in order."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def track(self, batch: Batch, detections: Sequence[Detections]) -> None:
        """Fill `faces_by_frame` of the batch from the detections of its analysed frames."""
        for frame, of_frame in zip(batch.analysed, detections, strict=True):
            batch.faces_by_frame[frame.index] = self._faces(frame, of_frame)

    def _faces(self, frame: Frame, detections: Detections) -> list[PendingFace]:
        numbers = self._tracker.update(frame, detections)
        order = np.lexsort(detections.boxes_xyxy.T[::-1]).tolist()
        return [
            PendingFace(frame, detections, detection, numbers[detection], face_index)
            for face_index, detection in enumerate(order)
        ]
