"""Random augmentation of training crops, for a whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_NOISE_CELLS = 4  # of the blurred noise, along each side of a crop
_NOISE_MEAN, _NOISE_DEVIATION = 110, 50  # of 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Strengths of the augmentations. A share is the probability that a crop is changed."""

    degrees: float = 8.0
    zoom: float = 0.1  # standard deviation of the logarithm of the size
    shift: float = 0.04  # standard deviation, in sides of the crop
    brightness: float = 20.0  # standard deviation, of 255
    contrast: float = 0.2  # standard deviation of the logarithm
    colour: float = 0.06  # the same, for each channel by itself
    gray_share: float = 0.1
    downscale_share: float = 0.2  # to the size of a distant face, and enlarged again
    downscale_sides: tuple[int, ...] = (16, 20, 26, 32, 44)  # pixels
    noise_share: float = 0.15
    noise: float = 8.0  # maximum standard deviation, of 255
    border_share: float = 0.3  # the padding outside of the picture is replaced by blurred noise
    erase_share: float = 0.25
    erase_side: float = 0.4  # maximum side of an erased rectangle, in sides of the crop


def augment(
    crops: Tensor, inside: Tensor, *, size: int, options: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Augment each crop independently, and crop it to the network's input.

    Args:
        crops: (n, side, side, channels) uint8, wider than the network's input.
        inside: (n, 4) part of each crop that lies in its picture: left, top, right, bottom in 0..1.
        size: side of the network's input in pixels.
        options: strengths.
        generator: source of all random numbers; on the device of the crops.

    Returns:
        (n, channels, size, size) float32 0..255, and (n,) bool: which crops were flipped.
    """
    x = crops.permute(0, 3, 1, 2).float()  # (n, c, side, side)
    count = len(x)
    x = _replace_padding(x, inside, options.border_share, generator)
    flipped = _bernoulli(count, 0.5, generator)
    x = _transform(x, flipped, size, options, generator)
    x = _change_colours(x, options, generator)
    x = _downscale(x, options, generator)
    strength = _uniform(generator, count, 1, 1, 1) * options.noise
    strength = strength * _bernoulli(count, options.noise_share, generator).reshape(-1, 1, 1, 1)
    x = x + _normal(generator, *x.shape) * strength
    x = _erase(x, options, generator)
    return x.clamp(0, 255), flipped


def centre_crop(crops: Tensor, *, size: int) -> Tensor:
    """The crops as at run time: (n, side, side, c) uint8 -> (n, c, size, size) float."""
    margin = (crops.shape[1] - size) // 2
    inner = crops[:, margin : margin + size, margin : margin + size]
    return inner.permute(0, 3, 1, 2).float()


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)


def _bernoulli(count: int, share: float, generator: torch.Generator) -> Tensor:
    return _uniform(generator, count) < share


def _blurred_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    # Large blurred blobs: what surrounds a face is mostly out of focus.
    cells = _normal(generator, shape[0], shape[1], _NOISE_CELLS, _NOISE_CELLS)
    coarse = cells * _NOISE_DEVIATION + _NOISE_MEAN
    return functional.interpolate(coarse, size=shape[2:], mode="bilinear", align_corners=False)


def _replace_padding(x: Tensor, inside: Tensor, share: float, generator: torch.Generator) -> Tensor:
    side = x.shape[-1]
    position = (torch.arange(side, device=x.device) + 0.5) / side
    columns = (position >= inside[:, 0:1]) & (position <= inside[:, 2:3])  # (n, side)
    rows = (position >= inside[:, 1:2]) & (position <= inside[:, 3:4])  # (n, side)
    keep = (rows[:, :, None] & columns[:, None, :])[:, None]  # (n, 1, side, side)
    keep = keep | ~_bernoulli(len(x), share, generator).reshape(-1, 1, 1, 1)
    return torch.where(keep, x, _blurred_noise(x.shape, generator))


def _transform(
    x: Tensor, flipped: Tensor, size: int, options: Augmentation, generator: torch.Generator
) -> Tensor:
    count = len(x)
    angle = (_uniform(generator, count) * 2 - 1) * math.radians(options.degrees)
    zoom = torch.exp(_normal(generator, count) * options.zoom) * size / x.shape[-1]
    shift = _normal(generator, count, 2) * options.shift * 2  # the grid is -1..1
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


def _change_colours(x: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    count, channels = x.shape[:2]
    contrast = torch.exp(_normal(generator, count, 1, 1, 1) * options.contrast)
    brightness = _normal(generator, count, 1, 1, 1) * options.brightness
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (x - mean) * contrast + mean + brightness
    if channels == 1:
        return x
    x = x * torch.exp(_normal(generator, count, channels, 1, 1) * options.colour)
    gray = _bernoulli(count, options.gray_share, generator).reshape(-1, 1, 1, 1)
    return torch.where(gray, x.mean(dim=1, keepdim=True), x)


def _downscale(x: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    size = x.shape[-1]
    chosen = torch.nonzero(_bernoulli(len(x), options.downscale_share, generator))[:, 0]
    parts = torch.chunk(chosen, len(options.downscale_sides))
    for side, part in zip(options.downscale_sides, parts, strict=False):
        low = functional.interpolate(x[part], size=(side, side), mode="area")
        x[part] = functional.interpolate(low, size=(size, size), mode="bilinear")
    return x


def _erase(x: Tensor, options: Augmentation, generator: torch.Generator) -> Tensor:
    count, size = len(x), x.shape[-1]
    sides = _uniform(generator, count, 2) * options.erase_side
    corner = _uniform(generator, count, 2) * (1 - sides)
    position = (torch.arange(size, device=x.device) + 0.5) / size
    columns = (position >= corner[:, 0:1]) & (position <= corner[:, 0:1] + sides[:, 0:1])
    rows = (position >= corner[:, 1:2]) & (position <= corner[:, 1:2] + sides[:, 1:2])
    erased = (rows[:, :, None] & columns[:, None, :])[:, None]  # (n, 1, size, size)
    erased = erased & _bernoulli(count, options.erase_share, generator).reshape(-1, 1, 1, 1)
    return torch.where(erased, _blurred_noise(x.shape, generator), x)
