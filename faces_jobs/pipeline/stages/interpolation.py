"""Interpolates the faces of frames that were not detected between two frames that were.

A box is the mean of the boxes on both sides, weighted by time, rather than an extrapolation from
one side. The loss of accuracy is measured in docs/performance.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.tracking import overlaps, pair_boxes
from faces_jobs.pipeline.values import Detections

# Intersection over union of a face's boxes at both ends, from which it counts as steady. The path
# of a face that walks past is close to a straight line between two such boxes.
MIN_STEADY_OVERLAP = 0.6


def interpolate(before: Detections, after: Detections, fraction: float) -> Detections:
    """Interpolate the detections of a frame between two others.

    A face that is in both moves from its first box to its second. A face that is in only one of
    them keeps its box, in the half of the time that is nearer to that one.

    Args:
        before: the detections of the previous detected frame.
        after: the detections of the next detected frame.
        fraction: how much of the time from `before` to `after` has passed, 0..1.

    Returns:
        Boxes, scores and, if both have them, landmarks; sorted by descending score.
    """
    pairs = pair_boxes(before.boxes_xyxy, after.boxes_xyxy)
    first = [index for index, _ in pairs]
    second = [index for _, index in pairs]
    is_early = fraction <= 0.5
    unpaired = np.setdiff1d(
        np.arange(len(before if is_early else after)), first if is_early else second
    )

    def blend(start: NDArray[np.float32], end: NDArray[np.float32]) -> NDArray[np.float32]:
        paired = start[first] * (1 - fraction) + end[second] * fraction
        return np.concatenate([paired, (start if is_early else end)[unpaired]]).astype(np.float32)

    scores = blend(before.scores, after.scores)
    best_first = np.argsort(-scores, kind="stable")
    landmarks = None
    if before.landmarks is not None and after.landmarks is not None:
        landmarks = blend(before.landmarks, after.landmarks)[best_first]
    boxes = blend(before.boxes_xyxy, after.boxes_xyxy)
    return Detections(boxes[best_first], scores[best_first], landmarks)


def is_steady(before: Detections, after: Detections) -> bool:
    """Return whether both have the same faces, none of which moved far."""
    if len(before) != len(after):
        return False
    pairs = pair_boxes(before.boxes_xyxy, after.boxes_xyxy)
    overlap = overlaps(before.boxes_xyxy, after.boxes_xyxy)
    return len(pairs) == len(before) and all(overlap[pair] >= MIN_STEADY_OVERLAP for pair in pairs)
