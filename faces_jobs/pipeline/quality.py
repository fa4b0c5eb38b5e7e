"""Rates how good a shot of a face is, to choose the thumbnail of its track."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.pipeline.values import Opinion, Picture

# Sharpness is measured on the same crop that the models get, so that each face is cropped once.
CROP_SCALE = 1.1
CROP_SIZE = 64
# Faces of this many pixels have the full score for size; larger ones are no better shots.
_FULL_SIZE = 160.0
# Variance of the Laplacian of a 64 pixel crop at which the sharpness is 0.5.
_HALF_SHARP_VARIANCE = 150.0
_FRONTAL = HEADS["pose"].index("frontal")


def sharpness_of(crop_bgr: Picture) -> float:
    """Return the sharpness, 0..1, of a face's crop with `CROP_SCALE` and `CROP_SIZE`."""
    gray = cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY)
    variance = float(np.var(cv2.Laplacian(gray, cv2.CV_32F)))
    return variance / (variance + _HALF_SHARP_VARIANCE)


def shot_quality(
    box_xyxy: BoxXyxy,
    *,
    score: float,
    sharpness: float,
    landmarks: NDArray[np.float32] | None,
    opinion: Opinion,
) -> float:
    """Return the quality of a shot, 0..1: the product of score, size, sharpness and frontality.

    In a product no factor can make up for another.

    Args:
        box_xyxy: the box of the face.
        score: the score of the detector, 0..1.
        sharpness: the result of `sharpness_of`.
        landmarks: (5, 2) pixels as in `Detections`, or None.
        opinion: provides the pose if there are no landmarks.
    """
    side = min(box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1])
    size = min(1.0, max(0.0, side) / _FULL_SIZE)
    return (
        score * size * (0.25 + 0.75 * sharpness) * (0.25 + 0.75 * _frontality(landmarks, opinion))
    )


def _frontality(landmarks: NDArray[np.float32] | None, opinion: Opinion) -> float:
    if landmarks is not None:
        right_eye, left_eye, nose = landmarks[0], landmarks[1], landmarks[2]
        distance = float(np.hypot(*(left_eye - right_eye)))
        if distance <= 0:
            return 0.0
        # In a frontal face the nose projects onto the midpoint of the line between the eyes.
        middle = (right_eye + left_eye) / 2
        offset = float(np.dot(nose - middle, left_eye - right_eye)) / distance**2
        return max(0.0, 1.0 - 2.0 * abs(offset))
    if "pose" in opinion:
        return float(opinion["pose"][_FRONTAL])
    return 1.0
