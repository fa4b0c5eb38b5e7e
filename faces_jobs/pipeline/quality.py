"""How good a shot of a face is: the measure behind a track's thumbnail."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.pipeline.values import Opinion, Picture

# The square that sharpness is measured on: the one that the models see, so that it is cut once.
CROP_SCALE = 1.1
CROP_SIZE = 64
# From this many pixels on a larger face is no better shot.
_ENOUGH_PIXELS = 160.0
# Variance of the Laplacian of a 64 pixel crop at which a face counts as half sharp.
_HALF_SHARP = 150.0
_FRONTAL = HEADS["pose"].index("frontal")


def sharpness_of(crop_bgr: Picture) -> float:
    """0..1: how much detail a face has, of its crop of `CROP_SCALE` and `CROP_SIZE`."""
    gray = cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY)
    detail = float(np.var(cv2.Laplacian(gray, cv2.CV_32F)))
    return detail / (detail + _HALF_SHARP)


def shot_quality(
    box_xyxy: BoxXyxy,
    *,
    score: float,
    sharpness: float,
    landmarks: NDArray[np.float32] | None,
    opinion: Opinion,
) -> float:
    """0..1: score, size, sharpness and frontality multiplied, so that none makes up for another.

    Args:
        box_xyxy: the face.
        score: the detector's, 0..1.
        sharpness: as `sharpness_of` tells it.
        landmarks: (5, 2) pixels as in `Detections`, or None.
        opinion: looked at for the pose where there are no landmarks.
    """
    side = min(box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1])
    size = min(1.0, max(0.0, side) / _ENOUGH_PIXELS)
    return (
        score * size * (0.25 + 0.75 * sharpness) * (0.25 + 0.75 * _frontality(landmarks, opinion))
    )


def _frontality(landmarks: NDArray[np.float32] | None, opinion: Opinion) -> float:
    if landmarks is not None:
        right_eye, left_eye, nose = landmarks[0], landmarks[1], landmarks[2]
        apart = float(np.hypot(*(left_eye - right_eye)))
        if apart <= 0:
            return 0.0
        # The nose of a frontal face lies midway between the eyes, along the line through both.
        along = float(np.dot(nose - (right_eye + left_eye) / 2, left_eye - right_eye)) / apart**2
        return max(0.0, 1.0 - 2.0 * abs(along))
    if "pose" in opinion:
        return float(opinion["pose"][_FRONTAL])
    return 1.0
