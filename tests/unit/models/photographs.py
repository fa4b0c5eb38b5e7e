"""A photograph of a face, which scikit-image ships, and the overlap of boxes."""

from __future__ import annotations

import numpy as np
import skimage.data

from faces_jobs.pipeline.values import Picture

FACE_XYXY = (178.0, 60.0, 270.0, 182.0)  # in `astronaut`, annotated by hand


def astronaut_bgr() -> Picture:
    """Return (512, 512, 3): Eileen Collins, NASA, public domain. One face, smiling, frontal."""
    rgb = skimage.data.astronaut()  # type: ignore[no-untyped-call]  # ships no types
    return np.ascontiguousarray(rgb[:, :, ::-1], np.uint8)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two boxes, xyxy."""
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    intersection = max(0.0, float(right - left)) * max(0.0, float(bottom - top))
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in (one, other)]
    return intersection / (sum(areas) - intersection)
