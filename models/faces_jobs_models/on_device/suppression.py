"""Non-maximum suppression on the device, with the result of the greedy loop."""

from __future__ import annotations

import torch
from torch import Tensor

# Pairs of boxes compared at once: 0.5 GB, which only noise at a low threshold needs.
_MAX_PAIRS = 1 << 24


def nms_on_device(
    boxes_xyxy: Tensor, iou_threshold: float, *, max_pairs: int = _MAX_PAIRS
) -> Tensor:
    """Compute which boxes of each picture greedy suppression keeps.

    A box is suppressed if a better box that is kept overlaps it. Applying this rule to all boxes in
    parallel until nothing changes converges from the best box down: after k iterations the result
    is final for every box that depends on a chain of at most k others. Chains are short.

    Args:
        boxes_xyxy: (pictures, n, 4), best score first.
        iou_threshold: intersection over union above which the worse box is suppressed.
        max_pairs: of boxes that are compared at once; if there are more, pictures are split.

    Returns:
        (pictures, n) bool.
    """
    pictures, count = boxes_xyxy.shape[:2]
    step = max(1, max_pairs // max(1, count * count))
    starts = range(0, pictures, step)
    return torch.cat([_kept(boxes_xyxy[start : start + step], iou_threshold) for start in starts])


def _kept(boxes_xyxy: Tensor, iou_threshold: float) -> Tensor:
    boxes = boxes_xyxy.double()
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=3)  # (pictures, n, n)
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=2)
    union = areas[:, :, None] + areas[:, None] - intersection
    # Two boxes without area have no union: both are kept.
    iou = torch.where(union > 0, intersection / union.clamp(min=1e-12), 0.0)
    suppresses = (iou > iou_threshold).triu(diagonal=1)  # [picture, better, worse]
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    while True:
        next_kept = ~(suppresses & kept[..., None]).any(dim=1)
        if bool((next_kept == kept).all()):
            return kept
        kept = next_kept
