"""Random changes of a batch of training crops, all in one go."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How strongly crops are changed. Shares are probabilities for each crop."""

    degrees: float = 8.0
    zoom: float = 0.1  # standard deviation of the logarithm of the size
    shift: float = 0.04  # standard deviation, in sides of the crop
    brightness: float = 20.0  # standard deviation, of 255
    contrast: float = 0.2  # standard deviation of the logarithm
    colour: float = 0.06  # the same for each channel alone
    gray_share: float = 0.1
    downscale_share: float = 0.2  # made as small as a distant face, and enlarged again
    downscale_sides: tuple[int, ...] = (16, 20, 26, 32, 44)  # pixels that such a crop is left with
    noise_share: float = 0.15
    noise: float = 8.0  # largest standard deviation, of 255
    border_share: float = 0.3  # what repeats the picture's edge becomes something arbitrary
    erase_share: float = 0.25
    erase_side: float = 0.4  # longest side of an erased rectangle, in sides of the crop


def augment(
    crops: Tensor, inside: Tensor, *, size: int, how: Augmentation, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change each crop in its own way.

    Args:
        crops: (n, side, side, channels) uint8, wider than the network's input.
        inside: (n, 4) what of each crop lies in its picture: left, top, right, bottom in 0..1.
        size: side of the network's input in pixels.
        how: strengths.
        random: where every random number comes from; on the device of the crops.

    Returns:
        (n, channels, size, size) float32 0..255, and (n,) bool: which crops were flipped.
    """
    x = crops.permute(0, 3, 1, 2).float()  # (n, c, side, side)
    count = len(x)
    x = _other_borders(x, inside, how.border_share, random)
    flipped = _chosen(count, 0.5, random)
    x = _move(x, flipped, size, how, random)
    x = _recolour(x, how, random)
    x = _lower(x, how, random)
    strength = _uniform(random, count, 1, 1, 1) * how.noise
    strength = strength * _chosen(count, how.noise_share, random).reshape(-1, 1, 1, 1)
    x = x + _normal(random, *x.shape) * strength
    x = _erase(x, how, random)
    return x.clamp(0, 255), flipped


def centre_crop(crops: Tensor, *, size: int) -> Tensor:
    """The crops as they are at run time: (n, side, side, c) uint8 -> (n, c, size, size) float."""
    margin = (crops.shape[1] - size) // 2
    inner = crops[:, margin : margin + size, margin : margin + size]
    return inner.permute(0, 3, 1, 2).float()


def _uniform(random: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=random, device=random.device)


def _normal(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=random, device=random.device)


def _chosen(count: int, share: float, random: torch.Generator) -> Tensor:
    return _uniform(random, count) < share


def _smooth(shape: torch.Size, random: torch.Generator) -> Tensor:
    # Large soft blotches: what lies beside a face is mostly out of focus.
    coarse = _normal(random, shape[0], shape[1], 4, 4) * 50 + 110
    return functional.interpolate(coarse, size=shape[2:], mode="bilinear", align_corners=False)


def _other_borders(x: Tensor, inside: Tensor, share: float, random: torch.Generator) -> Tensor:
    side = x.shape[-1]
    place = (torch.arange(side, device=x.device) + 0.5) / side
    across = (place >= inside[:, 0:1]) & (place <= inside[:, 2:3])  # (n, side)
    down = (place >= inside[:, 1:2]) & (place <= inside[:, 3:4])  # (n, side)
    keep = (down[:, :, None] & across[:, None, :])[:, None]  # (n, 1, side, side)
    keep = keep | ~_chosen(len(x), share, random).reshape(-1, 1, 1, 1)
    return torch.where(keep, x, _smooth(x.shape, random))


def _move(
    x: Tensor, flipped: Tensor, size: int, how: Augmentation, random: torch.Generator
) -> Tensor:
    count = len(x)
    angle = (_uniform(random, count) * 2 - 1) * math.radians(how.degrees)
    zoom = torch.exp(_normal(random, count) * how.zoom) * size / x.shape[-1]
    shift = _normal(random, count, 2) * how.shift * 2  # the grid is -1..1
    mirror = 1 - 2 * flipped.float()
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    matrix = torch.stack(
        [
            torch.stack([cosine * mirror, -sine, shift[:, 0]], dim=1),
            torch.stack([sine * mirror, cosine, shift[:, 1]], dim=1),
        ],
        dim=1,
    )  # (n, 2, 3)
    grid = functional.affine_grid(matrix, [count, x.shape[1], size, size], align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _recolour(x: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    count, channels = x.shape[:2]
    contrast = torch.exp(_normal(random, count, 1, 1, 1) * how.contrast)
    brightness = _normal(random, count, 1, 1, 1) * how.brightness
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * contrast + mean + brightness
    if channels == 1:
        return x
    x = x * torch.exp(_normal(random, count, channels, 1, 1) * how.colour)
    gray = _chosen(count, how.gray_share, random).reshape(-1, 1, 1, 1)
    return torch.where(gray, x.mean(dim=1, keepdim=True), x)


def _lower(x: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    size = x.shape[-1]
    chosen = torch.nonzero(_chosen(len(x), how.downscale_share, random))[:, 0]
    parts = torch.chunk(chosen, len(how.downscale_sides))
    for side, part in zip(how.downscale_sides, parts, strict=False):
        low = functional.interpolate(x[part], size=(side, side), mode="area")
        x[part] = functional.interpolate(low, size=(size, size), mode="bilinear")
    return x


def _erase(x: Tensor, how: Augmentation, random: torch.Generator) -> Tensor:
    count, size = len(x), x.shape[-1]
    sides = _uniform(random, count, 2) * how.erase_side
    corner = _uniform(random, count, 2) * (1 - sides)
    place = (torch.arange(size, device=x.device) + 0.5) / size
    across = (place >= corner[:, 0:1]) & (place <= corner[:, 0:1] + sides[:, 0:1])
    down = (place >= corner[:, 1:2]) & (place <= corner[:, 1:2] + sides[:, 1:2])
    gone = (down[:, :, None] & across[:, None, :])[:, None]  # (n, 1, size, size)
    gone = gone & _chosen(count, how.erase_share, random).reshape(-1, 1, 1, 1)
    return torch.where(gone, _smooth(x.shape, random), x)
