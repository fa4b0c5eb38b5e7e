"""Where faces are in frames that no detector looked at, told by the two around that one did.

Both sides are known, so a box is a mean of two, weighted by time, and not a guess at where it
went. What is lost by it is measured: see docs/performance.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.tracking import overlaps, pair_boxes
from faces_jobs.pipeline.values import Detections

# A box that overlaps less with itself some frames later has moved fast. Faces that walk by keep
# to a straight line between two boxes that overlap so much.
LEAST_OVERLAP = 0.6


def interpolate(before: Detections, after: Detections, share: float) -> Detections:
    """The faces of a frame between two.

    A face of both is between its boxes. One that is in only one of them is where it was seen,
    as long as that frame is the nearer.

    Args:
        before: of the frame that was detected before.
        after: of the one that was detected next.
        share: of the time from `before` to `after` that has passed, 0..1.

    Returns:
        Boxes, scores and, where both have them, landmarks; best score first.
    """
    pairs = pair_boxes(before.boxes_xyxy, after.boxes_xyxy)
    first = [place for place, _ in pairs]
    second = [place for _, place in pairs]
    is_early = share <= 0.5
    alone = np.setdiff1d(
        np.arange(len(before if is_early else after)), first if is_early else second
    )

    def between(here: NDArray[np.float32], there: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = here[first] * (1 - share) + there[second] * share
        return np.concatenate([moved, (here if is_early else there)[alone]]).astype(np.float32)

    scores = between(before.scores, after.scores)
    best_first = np.argsort(-scores, kind="stable")
    landmarks = None
    if before.landmarks is not None and after.landmarks is not None:
        landmarks = between(before.landmarks, after.landmarks)[best_first]
    boxes = between(before.boxes_xyxy, after.boxes_xyxy)
    return Detections(boxes[best_first], scores[best_first], landmarks)


def is_steady(before: Detections, after: Detections) -> bool:
    """Whether both have the same faces, none of which moved far: what is between can be told."""
    if len(before) != len(after):
        return False
    pairs = pair_boxes(before.boxes_xyxy, after.boxes_xyxy)
    overlap = overlaps(before.boxes_xyxy, after.boxes_xyxy)
    return len(pairs) == len(before) and all(overlap[pair] >= LEAST_OVERLAP for pair in pairs)
