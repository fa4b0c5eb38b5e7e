"""The body of the classifiers: a small residual network for 64 x 64 crops on one CPU core.

After He, Zhang, Ren, Sun: "Deep Residual Learning for Image Recognition", arXiv:1512.03385, with
the average-pooled shortcuts (ResNet-D) of He et al.: "Bag of Tricks for Image Classification with
Convolutional Neural Networks", arXiv:1812.01187. Convolutions are dense: the separable ones of the
mini-Xception family need fewer multiplications, but are so memory-bound that a dense network of
the same latency is more accurate.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyConfig:
    """Size of a body: one entry of `widths` and `blocks` per stage, each with stride 2."""

    in_channels: int = 3
    stem: int = 32
    stem_stride: int = 2
    widths: tuple[int, ...] = (64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 1)


class ResidualBlock(nn.Module):
    """The basic block: two 3x3 convolutions, the first with `stride`, and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride),
                nn.Conv2d(in_channels, out_channels, 1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h / stride, w / stride)."""
        y = functional.relu(self.first_norm(self.first(x)))  # (n, out, h / stride, w / stride)
        y = self.second_norm(self.second(y))  # (n, out, h / stride, w / stride)
        return functional.relu(y + self.shortcut(x))


class ResidualBody(nn.Module):
    """Maps pictures to feature vectors."""

    def __init__(self, config: BodyConfig) -> None:
        super().__init__()
        self.stem = nn.Conv2d(
            config.in_channels, config.stem, 3, config.stem_stride, padding=1, bias=False
        )
        self.stem_norm = nn.BatchNorm2d(config.stem)
        blocks: list[nn.Module] = []
        channels = config.stem
        for width, count in zip(config.widths, config.blocks, strict=True):
            for index in range(count):
                blocks.append(ResidualBlock(channels, width, stride=1 if index else 2))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, 64, 64) -> (n, channels)."""
        x = functional.relu(self.stem_norm(self.stem(x)))  # (n, stem, 32, 32)
        x = self.blocks(x)  # (n, channels, 4, 4) with the default three stages
        return torch.mean(x, dim=(2, 3))  # (n, channels)
