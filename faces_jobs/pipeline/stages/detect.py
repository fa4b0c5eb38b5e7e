"""The detection stage: finds the faces of each analysed frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.protocols import Detector
from faces_jobs.pipeline.timing import StageTimer
from faces_jobs.pipeline.values import Detections, Frame


class DetectStage:
    """Runs the detector on every analysed frame. Thread-safe."""

    def __init__(self, detector: Detector, spec: JobSpec, timer: StageTimer) -> None:
        self._detector = detector
        self._spec = spec
        self._timer = timer

    def detect(self, batch: Batch, turn: Turn) -> list[Detections]:  # noqa: ARG002 (see `SparseDetection`)
        """Return the detections of each analysed frame of the batch."""
        return self.detect_frames(batch.analysed)

    def detect_frames(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the detections of each of these frames."""
        with self._timer.measure("detect"):
            pictures = [frame.picture_bgr for frame in frames]
            detections = self._detector.detect(pictures) if pictures else []
            return [_filtered(each, self._spec) for each in detections]


def _filtered(detections: Detections, spec: JobSpec) -> Detections:
    """Keep the boxes that reach the spec's score threshold and, by their shorter side, its size."""
    boxes = detections.boxes_xyxy
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    kept = (detections.scores >= spec.detection_threshold) & (sides >= spec.smallest_face)
    return Detections(
        boxes[kept],
        detections.scores[kept],
        None if detections.landmarks is None else detections.landmarks[kept],
    )
