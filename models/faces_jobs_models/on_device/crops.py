"""Crops on the device, of the one geometry that `faces_jobs.pipeline.crops` defines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from faces_jobs.pipeline.crops import squares_around
from faces_jobs.pipeline.values import Boxes
from faces_jobs_models.on_device.shrinking import area_weights

# Weights of a crop are (64, width) and (64, height) floats: 0.5 MB in all at 720p.
_MOST_AT_ONCE = 64


def crop_on_device(
    frames: Sequence[Tensor], boxes_xyxy: Sequence[Boxes], *, scale: float, size: int
) -> Tensor:
    """Cut one square around each box and resize it, where the frames are.

    Args:
        frames: (height, width, 3) uint8 BGR each.
        boxes_xyxy: of each frame, (n, 4) pixels of it.
        scale: side of the square in units of the box's longer side.
        size: side of each crop in pixels.

    Returns:
        (all boxes, 3, size, size) float32, 0..255 rounded, frame by frame.
    """
    crops = [torch.zeros(0, 3, size, size)]
    for frame, boxes in zip(frames, boxes_xyxy, strict=True):
        height, width = frame.shape[:2]
        squares = squares_around(boxes, width, height, scale=scale)
        crops += [
            _cut(frame, squares[start : start + _MOST_AT_ONCE], size)
            for start in range(0, len(squares), _MOST_AT_ONCE)
        ]
    return torch.cat(crops[1:] or crops)


def _cut(frame: Tensor, squares: Sequence[tuple[int, int, int]], size: int) -> Tensor:
    height, width = frame.shape[:2]
    left, top, side = torch.from_numpy(np.asarray(squares, np.float32)).to(frame.device).T
    down = area_weights(top, side, height, size)  # (n, size, height)
    across = area_weights(left, side, width, size)  # (n, size, width)
    planes = frame.permute(2, 0, 1).float()  # (3, height, width)
    # One product for all faces of the frame: rows first, which leaves the fewer numbers.
    rows = torch.einsum("nsh,chw->ncsw", down, planes)
    return torch.einsum("ncsw,ntw->ncst", rows, across).round().clamp(0, 255)
