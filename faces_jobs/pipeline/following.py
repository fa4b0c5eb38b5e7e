"""The stage that goes in order: faces of each frame are linked to tracks.

What is decided by what came before in the item is decided here, frame by frame, so that it
depends neither on the size of a batch nor on how many are worked on at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.batches import Batch, Seen
from faces_jobs.pipeline.stages import Tracker
from faces_jobs.pipeline.values import Detections, Frame


class Follower:
    """Follows the faces of one item. One instance an item; batches come in order."""

    def __init__(self, tracker: Tracker, spec: JobSpec) -> None:
        self._tracker = tracker
        self._spec = spec

    def follow(self, batch: Batch, found: Sequence[Detections]) -> None:
        """Fill the batch's `seen` from what was detected in each of its analysed frames."""
        for frame, detections in zip(batch.analysed, found, strict=True):
            batch.seen[frame.index] = self._seen(frame, wanted(detections, self._spec))

    def _seen(self, frame: Frame, kept: Detections) -> list[Seen]:
        numbers = self._tracker.update(frame, kept)
        order = np.lexsort(kept.boxes_xyxy.T[::-1]).tolist()
        return [
            Seen(frame, kept, detection, numbers[detection], face_index)
            for face_index, detection in enumerate(order)
        ]


def wanted(detections: Detections, spec: JobSpec) -> Detections:
    """Those that reach the spec's threshold and whose shorter side reaches its smallest face."""
    boxes = detections.boxes_xyxy
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    kept = (detections.scores >= spec.detection_threshold) & (sides >= spec.smallest_face)
    return Detections(
        boxes[kept],
        detections.scores[kept],
        None if detections.landmarks is None else detections.landmarks[kept],
    )
