"""Area-averaging resize on the device, matching `cv2.resize`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def area_weights(start: Tensor, side: Tensor, limit: int, size: int) -> Tensor:
    """Return the weights that resize intervals of a row or column of pixels to `size` cells.

    A cell wider than a pixel is the mean of what it covers, as with `cv2.INTER_AREA`; a narrower
    one is interpolated between two pixels, as with `cv2.INTER_LINEAR`. Pixels outside of
    0..limit repeat the border.

    Args:
        start: (n,) the start of each interval in pixels; may be negative.
        side: (n,) the length of each interval in pixels.
        limit: number of pixels in the row or column.
        size: number of cells.

    Returns:
        (n, size, limit) float32; the weights of each cell sum to 1.
    """
    device = start.device
    step = (side / size)[:, None]  # (n, 1) pixels a cell
    cell = torch.arange(size, device=device, dtype=torch.float32)
    low = start[:, None] + cell * step  # (n, size)
    pixel = torch.arange(limit, device=device, dtype=torch.float32)
    first, last = pixel == 0, pixel == limit - 1
    left = torch.where(first, -torch.inf, pixel)  # (limit,); the border extends to infinity
    right = torch.where(last, torch.inf, pixel + 1)
    high = low + step
    covered = torch.minimum(high[..., None], right) - torch.maximum(low[..., None], left)
    mean = covered.clamp(min=0) / step[..., None]  # (n, size, limit)
    # Like the crop on the CPU: no further than the centres of the interval's outermost pixels.
    centre = torch.minimum(
        torch.maximum(low + step / 2 - 0.5, start[:, None]), (start + side)[:, None] - 1
    )
    centre = centre.clamp(0, limit - 1)
    interpolated = (1 - (centre[..., None] - pixel).abs()).clamp(min=0)  # (n, size, limit)
    return torch.where(step[..., None] > 1, mean, interpolated)


def resize_area(pictures: Tensor, width: int, height: int) -> Tensor:
    """Downscale pictures to integer values, like `cv2.resize` with `cv2.INTER_AREA`.

    Args:
        pictures: (n, h, w, 3) uint8.
        width: of the result; at most w.
        height: of the result; at most h.

    Returns:
        (n, 3, height, width) float32, 0..255. For integer factors the values are OpenCV's exactly;
        otherwise one value in a thousand differs by one.
    """
    batch = pictures.permute(0, 3, 1, 2).float()
    if batch.shape[2:] == (height, width):
        return batch
    full_height, full_width = batch.shape[2:]
    if full_height % height == 0 and full_width % width == 0:
        # 1080p and 720p have integer factors to 640 x 360: areas are then blocks of pixels.
        factors = full_height // height, full_width // width
        means = functional.avg_pool2d(batch, factors)
        # OpenCV rounds halves up for 2 x 2 (one mean in four is a half), and to even otherwise.
        return (means + 0.5).floor() if factors == (2, 2) else means.round()
    zero = torch.zeros(1, device=batch.device)
    rows = area_weights(zero, zero + full_height, full_height, height)[0]  # (height, h)
    columns = area_weights(zero, zero + full_width, full_width, width)[0]  # (width, w)
    return (rows @ batch @ columns.T).round()
