"""Greedy non-maximum suppression of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nms(
    boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32], *, iou_threshold: float
) -> NDArray[np.intp]:
    """Keep the boxes that no better box overlaps by more than the threshold.

    Args:
        boxes_xyxy: (n, 4) in pixels.
        scores: (n,).
        iou_threshold: intersection over union above which the worse box is suppressed.

    Returns:
        Indices of the boxes kept, best score first; equal scores keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    left, top, right, bottom = boxes_xyxy.T.astype(np.float64)
    areas = np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    kept: list[np.intp] = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        width = np.minimum(right[best], right[rest]) - np.maximum(left[best], left[rest])
        height = np.minimum(bottom[best], bottom[rest]) - np.maximum(top[best], top[rest])
        intersection = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[best] + areas[rest] - intersection
        # Two boxes without area have no union: both are kept.
        iou = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
        order = rest[iou <= iou_threshold]
    return np.asarray(kept, np.intp)
