"""What can be chosen of a detector without other weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """Working size and thresholds.

    `max_side` bounds the working picture: at 640 a face of 20 pixels in a 1080p frame is 7
    pixels wide and lost, while one of 40 is found. Time grows with its square.
    """

    max_side: int = 640
    min_score: float = 0.05  # the lowest threshold that a job may ask for
    iou_threshold: float = 0.4  # of two boxes, above which they are of one face
    max_faces: int = 1000
    # More frames in one run leave the CPU's cache: CenterFace 31 ms a 640x360 frame alone and 37
    # in eights, the grid detector 8 ms alone and 10 in eights.
    frames_a_run: int = 1


CUDA_FRAMES_A_RUN = 8  # as many as go through the stages together
