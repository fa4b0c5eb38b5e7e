"""The mini-Xception family: a small extractor of depthwise separable residual blocks.

After Arriaga, Valdenegro-Toro, Plöger: "Real-time Convolutional Neural Networks for Emotion and
Gender Classification", arXiv:1710.07557. As there: separable convolutions in residual blocks
that halve the picture, batch normalisation after each convolution, and global average pooling
in place of large dense layers. Other than there: the first convolution halves the picture at
once, since half of the time went into the first two layers, and each stage may repeat its block
without halving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyConfig:
    """Size of an extractor. `widths` has one entry a stage, each halving the picture."""

    in_channels: int = 3
    stem: int = 24
    widths: tuple[int, ...] = (48, 96, 192)
    repeats: tuple[int, ...] = (1, 1, 1)  # extra blocks of each stage, that keep the size


class SeparableConvolution(nn.Module):
    """A 3x3 convolution of each channel, then a 1x1 across channels, then normalisation."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h / stride, w / stride)."""
        return cast("Tensor", self.norm(self.pointwise(self.depthwise(x))))


class HalvingBlock(nn.Module):
    """Two separable convolutions, the second of which halves, beside a 1x1 shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = SeparableConvolution(in_channels, out_channels, stride=2)
        self.second = SeparableConvolution(out_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h / 2, w / 2)."""
        y = functional.relu(self.first(x))  # (n, out, h/2, w/2)
        y = self.second(y)  # (n, out, h/2, w/2)
        pooled = functional.avg_pool2d(x, 2)  # (n, in, h/2, w/2)
        return functional.relu(y + self.shortcut_norm(self.shortcut(pooled)))


class KeepingBlock(nn.Module):
    """Two separable convolutions beside their own input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = SeparableConvolution(channels, channels)
        self.second = SeparableConvolution(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        y = functional.relu(self.first(x))  # (n, c, h, w)
        return functional.relu(x + self.second(y))


class MiniXception(nn.Module):
    """Pictures to features."""

    def __init__(self, config: BodyConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(config.in_channels, config.stem, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(config.stem)
        blocks: list[nn.Module] = []
        channels = config.stem
        for width, repeats in zip(config.widths, config.repeats, strict=True):
            blocks.append(HalvingBlock(channels, width))
            blocks.extend(KeepingBlock(width) for _ in range(repeats))
            channels = width
        self.blocks = nn.Sequential(*blocks)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, 64, 64) -> (n, channels)."""
        x = functional.relu(self.stem_norm(self.stem(x)))  # (n, stem, 32, 32)
        x = self.blocks(x)  # (n, channels, 4, 4) after three stages
        return torch.mean(x, dim=(2, 3))  # (n, channels)
