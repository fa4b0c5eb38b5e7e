"""The one photograph of a face that an installed package ships, as frames of several kinds."""

from __future__ import annotations

import numpy as np
import skimage.data

from faces_jobs.pipeline.values import Picture

FACE_XYXY = (178.0, 60.0, 270.0, 182.0)  # of Eileen Collins in `astronaut`, by eye


def astronaut_bgr() -> Picture:
    """(512, 512, 3): Eileen Collins, NASA, public domain. One face, smiling, frontal."""
    rgb = skimage.data.astronaut()  # type: ignore[no-untyped-call]  # ships no types
    return np.ascontiguousarray(rgb[:, :, ::-1], np.uint8)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes, xyxy."""
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    shared = max(0.0, float(right - left)) * max(0.0, float(bottom - top))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return shared / (sum(areas) - shared)
