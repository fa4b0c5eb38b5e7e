"""Areas of a picture averaged down to a network's input, on the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def area_weights(start: Tensor, side: Tensor, limit: int, size: int) -> Tensor:
    """How much each pixel of a row or column counts for each of `size` cells over a stretch.

    A cell that is wider than a pixel is the mean of what it covers, as with `cv2.INTER_AREA`;
    a narrower one lies between two pixels' centres, as with `cv2.INTER_LINEAR`. What lies outside
    of 0..limit repeats the border.

    Args:
        start: (n,) where each stretch begins, in pixels; may be negative.
        side: (n,) how long it is.
        limit: pixels of the row or column.
        size: cells.

    Returns:
        (n, size, limit) float32, each cell's weights summing to 1.
    """
    device = start.device
    step = (side / size)[:, None]  # (n, 1) pixels a cell
    cell = torch.arange(size, device=device, dtype=torch.float32)
    low = start[:, None] + cell * step  # (n, size)
    pixel = torch.arange(limit, device=device, dtype=torch.float32)
    first, last = pixel == 0, pixel == limit - 1
    left = torch.where(first, -torch.inf, pixel)  # the border goes on for ever
    right = torch.where(last, torch.inf, pixel + 1)
    high = low + step
    covered = torch.minimum(high[..., None], right) - torch.maximum(low[..., None], left)
    mean = covered.clamp(min=0) / step[..., None]
    # Like the crop on the CPU: no further than the centres of the stretch's own last pixels.
    centre = torch.minimum(
        torch.maximum(low + step / 2 - 0.5, start[:, None]), (start + side)[:, None] - 1
    )
    centre = centre.clamp(0, limit - 1)
    between = (1 - (centre[..., None] - pixel).abs()).clamp(min=0)
    return torch.where(step[..., None] > 1, mean, between)


def resize_area(pictures: Tensor, width: int, height: int) -> Tensor:
    """Whole pictures to a working size, in whole numbers as `cv2.resize` gives them.

    Args:
        pictures: (n, h, w, 3) uint8.
        width: of the result; not above w.
        height: likewise.

    Returns:
        (n, 3, height, width) float32, 0..255. From frames that are whole times as large they are
        OpenCV's to the bit; elsewhere one value in a thousand is another by one.
    """
    batch = pictures.permute(0, 3, 1, 2).float()
    if batch.shape[2:] == (height, width):
        return batch
    full_height, full_width = batch.shape[2:]
    if full_height % height == 0 and full_width % width == 0:
        # 1080p and 720p come to 640 x 360 by whole factors: then areas are plain blocks.
        factors = full_height // height, full_width // width
        means = functional.avg_pool2d(batch, factors)
        # OpenCV has a way of its own for 2 x 2, which rounds a half up: one mean in four is one.
        return (means + 0.5).floor() if factors == (2, 2) else means.round()
    zero = torch.zeros(1, device=batch.device)
    down = area_weights(zero, zero + full_height, full_height, height)[0]
    across = area_weights(zero, zero + full_width, full_width, width)[0]
    return (down @ batch @ across.T).round()
