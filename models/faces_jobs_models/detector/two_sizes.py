"""Searches large pictures twice: scaled down far for large faces, and less for small ones.

A detector knows faces of a certain range of sizes. In a photograph of 2048 pixels that is scaled
down to 640, a face of 32 pixels is gone; scaled down to 1920, one of 900 is too large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.pipeline.protocols import Detector
from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.suppression import nms

# Higher faces in the less scaled-down input are left to the other one, in which they are still at
# least 64 pixels high. Parts of such faces were detected as faces.
MAX_FINE_HEIGHT = 256


def at_size(detector: BatchedDetector, size: int) -> Detector:
    """Return a detector, with the same network, that also finds the smaller faces of a larger size.

    Args:
        detector: as it was opened.
        size: longer side to which pictures are scaled down. If it is less than the detector's own,
            it replaces that.
    """
    own = detector.options.max_side
    if size == own:
        return detector
    other = detector.resized(size)
    return other if size < own else TwoSizeDetector(detector, other)


class TwoSizeDetector:
    """A detector in two sizes. Implements `Detector`."""

    def __init__(self, coarse: BatchedDetector, fine: BatchedDetector) -> None:
        """`coarse` scales pictures down more than `fine` does."""
        self._coarse = coarse
        self._fine = fine
        self.name = coarse.name
        self.version = coarse.version
        self.sha256 = coarse.sha256

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """As `BatchedDetector.detect`; pictures that no size scales down are searched once."""
        found = self._coarse.detect(pictures_bgr)
        longest = max(pictures_bgr[0].shape[:2]) if pictures_bgr else 0
        if longest <= self._coarse.options.max_side:
            return found
        max_height = MAX_FINE_HEIGHT * max(1.0, longest / self._fine.options.max_side)
        return [
            self._joined(large, small, max_height)
            for large, small in zip(found, self._fine.detect(pictures_bgr), strict=True)
        ]

    def _joined(self, large: Detections, small: Detections, max_height: float) -> Detections:
        """Join the faces of both sizes; of a face found in both the better box is kept."""
        options = self._coarse.options
        low = small.boxes_xyxy[:, 3] - small.boxes_xyxy[:, 1] <= max_height
        boxes = np.concatenate([large.boxes_xyxy, small.boxes_xyxy[low]])
        scores = np.concatenate([large.scores, small.scores[low]])
        kept = nms(boxes, scores, iou_threshold=options.iou_threshold)[: options.max_faces]
        landmarks = None
        if large.landmarks is not None and small.landmarks is not None:
            landmarks = np.concatenate([large.landmarks, small.landmarks[low]])[kept]
        return Detections(boxes[kept], scores[kept], landmarks)
