"""Non-maximum suppression: of boxes that overlap much, keep the best one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def nms(
    boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32], *, iou_threshold: float
) -> NDArray[np.intp]:
    """Greedy suppression.

    Args:
        boxes_xyxy: (n, 4) pixels.
        scores: (n,).
        iou_threshold: a box whose intersection over union with a better one is above this goes.

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
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        union = areas[best] + areas[rest] - shared
        # Two boxes without area share nothing that could be compared: both stay.
        ratio = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        order = rest[ratio <= iou_threshold]
    return np.asarray(kept, np.intp)
