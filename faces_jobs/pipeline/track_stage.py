"""The stage that goes in order: faces of each frame are linked to tracks.

What is decided by what came before in the item is decided here, frame by frame, so that it
depends neither on the size of a batch nor on how many are worked on at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.batches import Batch, PendingFace
from faces_jobs.pipeline.stages import Tracker
from faces_jobs.pipeline.values import Detections, Frame


class TrackStage:
    """Follows the faces of one item. One instance an item; batches come in order."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def follow(self, batch: Batch, found: Sequence[Detections]) -> None:
        """Fill the batch's `seen` from what was found in each of its analysed frames."""
        for frame, detections in zip(batch.analysed, found, strict=True):
            batch.faces_by_frame[frame.index] = self._seen(frame, detections)

    def _seen(self, frame: Frame, found: Detections) -> list[PendingFace]:
        numbers = self._tracker.update(frame, found)
        order = np.lexsort(found.boxes_xyxy.T[::-1]).tolist()
        return [
            PendingFace(frame, found, detection, numbers[detection], face_index)
            for face_index, detection in enumerate(order)
        ]
