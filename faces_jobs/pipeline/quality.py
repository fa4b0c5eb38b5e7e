"""How good a shot of a face is: the measure behind a track's thumbnail."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.records import BoxXyxy
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.values import Opinion, Picture

_SIDE = 64
# From this many pixels on a larger face is no better shot.
_ENOUGH_PIXELS = 160.0
# Variance of the Laplacian of a 64 pixel crop at which a face counts as half sharp.
_HALF_SHARP = 150.0
_FRONTAL = HEADS["pose"].index("frontal")


def shot_quality(
    picture_bgr: Picture,
    box_xyxy: BoxXyxy,
    *,
    score: float,
    landmarks: NDArray[np.float32] | None,
    opinion: Opinion,
) -> float:
    """0..1: score, size, sharpness and frontality multiplied, so that none makes up for another.

    Args:
        picture_bgr: the whole frame.
        box_xyxy: the face.
        score: the detector's, 0..1.
        landmarks: (5, 2) pixels as in `Detections`, or None.
        opinion: looked at for the pose where there are no landmarks.
    """
    side = min(box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1])
    size = min(1.0, max(0.0, side) / _ENOUGH_PIXELS)
    [crop] = crop_faces(picture_bgr, np.array([box_xyxy], np.float32), scale=1.0, size=_SIDE)
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    detail = float(np.var(cv2.Laplacian(gray, cv2.CV_32F)))
    sharpness = detail / (detail + _HALF_SHARP)
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
