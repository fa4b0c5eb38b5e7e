"""The options of a detector that do not depend on its weights."""

from __future__ import annotations

from dataclasses import dataclass

from faces_jobs.jobs.spec import DEFAULT_DETECTION_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """Working size and thresholds.

    `max_side` bounds the longer side of the resized picture, as a job's `detection_size` does: at
    640 a face of 20 pixels in a 1080p frame becomes 7 pixels wide and is lost, while one of 40 is
    found. Time grows with its square.
    """

    max_side: int = DEFAULT_DETECTION_SIZE
    min_score: float = 0.05  # the lowest threshold that a job may set
    iou_threshold: float = 0.4  # boxes that overlap a better one by more are suppressed
    max_faces: int = 1000
    # More frames no longer fit the CPU's cache: a 640x360 frame takes CenterFace 31 ms one at a
    # time and 37 in runs of eight, the grid detector 8 and 10.
    frames_a_run: int = 1


CUDA_FRAMES_A_RUN = 8  # the batch size of the pipeline's stages
