"""The stage that finds faces: those of each analysed frame that are large and sure enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.stages import Detector
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.values import Detections, Frame


class DetectStage:
    """Asks the detector about every frame. Safe to share between threads."""

    def __init__(self, detector: Detector, spec: JobSpec, seconds: StageSeconds) -> None:
        self._detector = detector
        self._spec = spec
        self._seconds = seconds

    def find(self, batch: Batch, turn: Turn) -> list[Detections]:  # noqa: ARG002 (see `SparseDetection`)
        """The faces of each analysed frame of the batch."""
        return self.detect(batch.analysed)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """The faces of each of these frames."""
        with self._seconds.of("detect"):
            pictures = [frame.picture_bgr for frame in frames]
            found = self._detector.detect(pictures) if pictures else []
            return [wanted(detections, self._spec) for detections in found]


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
