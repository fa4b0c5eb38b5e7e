"""Non-maximum suppression on the device: the same boxes as the greedy loop, without its steps."""

from __future__ import annotations

import torch
from torch import Tensor

# Pairs of boxes looked at together: some 0.5 GB, which only noise at a low threshold takes.
_MOST_PAIRS = 1 << 24


def nms_on_device(
    boxes_xyxy: Tensor, iou_threshold: float, *, max_pairs: int = _MOST_PAIRS
) -> Tensor:
    """Which boxes of each picture greedy suppression keeps.

    A box goes where a better one that stays overlaps it. Asked of all boxes at once, again and
    again, this settles from the best box down: after one round the best is right, after k rounds
    every box is whose fate hangs on a chain of k others. Chains are short.

    Args:
        boxes_xyxy: (pictures, n, 4), best score first.
        iou_threshold: intersection over union above which the worse one goes.
        max_pairs: of boxes that are compared at a time, where pictures are looked at in turn.

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
    shared = (high - low).clamp(min=0).prod(dim=3)  # (pictures, n, n)
    areas = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=2)
    union = areas[:, :, None] + areas[:, None] - shared
    # Two boxes without area share nothing that could be compared: both stay.
    ratio = torch.where(union > 0, shared / union.clamp(min=1e-12), 0.0)
    beats = (ratio > iou_threshold).triu(diagonal=1)  # [picture, better, worse]
    kept = torch.ones(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
    while True:
        now = ~(beats & kept[..., None]).any(dim=1)
        if bool((now == kept).all()):
            return kept
        kept = now
