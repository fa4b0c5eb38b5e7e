"""Non-maximum suppression on the device: the same boxes as the greedy loop, without its steps."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_best_on_device(boxes_xyxy: Tensor, overlap: float) -> Tensor:
    """Which boxes greedy suppression keeps.

    A box goes where a better one that stays overlaps it. Asked of all boxes at once, again and
    again, this settles from the best box down: after one round the best is right, after k rounds
    every box is whose fate hangs on a chain of k others. Chains are short.

    Args:
        boxes_xyxy: (n, 4), best score first.
        overlap: intersection over union above which the worse one goes.

    Returns:
        (n,) bool.
    """
    boxes = boxes_xyxy.double()
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    union = areas[:, None] + areas[None] - shared
    # Two boxes without area share nothing that could be compared: both stay.
    ratio = torch.where(union > 0, shared / union.clamp(min=1e-12), 0.0)
    beats = (ratio > overlap).triu(diagonal=1)  # [better, worse]
    kept = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    while True:
        now = ~(beats & kept[:, None]).any(dim=0)
        if bool((now == kept).all()):
            return kept
        kept = now
