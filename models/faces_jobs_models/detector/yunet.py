"""The detector's network: anchor-free, about 75 thousand weights, strides 8, 16 and 32.

Written after Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20 (2023), with the sizes of its variant n, so that the official weights fit as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from faces_jobs_models.detector.outputs import LANDMARKS, STRIDES

CHANNELS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class YuNetConfig:
    """What the official variants differ in; the defaults are those of n, 75,856 numbers.

    The variant s (54,608, the file in OpenCV's zoo) has widths 16, 32, 64, 64, 64, 64 and no
    shared unit in its heads.
    """

    widths: tuple[int, ...] = (16, CHANNELS, CHANNELS, CHANNELS, CHANNELS, CHANNELS)
    shared_unit: bool = True
    score_power: float = 1.0
    """To which scores are raised in the end: it moves the score that is wanted to 0.5."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """From the table `network` of a record; what it does not say has its default.

        Raises:
            KeyError: it says something unknown.
            ValueError: the widths can't be those of such a network.
        """
        unknown = options.keys() - {"widths", "shared_unit", "score_power"}
        if unknown:
            raise KeyError(f"unknown are {', '.join(sorted(unknown))}")
        widths = tuple(int(width) for width in options.get("widths", cls().widths))
        if len(widths) != len(cls().widths) or min(widths) < 1 or set(widths[3:]) != {CHANNELS}:
            raise ValueError(f"widths {widths} should be six, the last three {CHANNELS}")
        power = float(options.get("score_power", cls().score_power))
        if not 0 < power < math.inf:
            raise ValueError(f"score_power {power} should be above 0")
        return cls(
            widths=widths,
            shared_unit=bool(options.get("shared_unit", True)),
            score_power=power,
        )


class Maps(NamedTuple):
    """What the heads say of one stride, before the sigmoid: (n, channels, h/stride, w/stride)."""

    cls: Tensor  # 1: how well the box fits, where there is a face
    obj: Tensor  # 1: whether a face is centred near this cell
    bbox: Tensor  # 4: centre as offset from the cell, logarithm of the size, in strides
    kps: Tensor  # 10: five points (x, y) as offset from the cell, in strides


class SeparableUnit(nn.Module):
    """A 1x1 convolution, then a 3x3 of each channel; the paper's DPUnit."""

    def __init__(self, in_channels: int, out_channels: int, *, is_last: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels)
        # The last unit of a head gives numbers of any size and sign.
        self.bn = nn.Identity() if is_last else nn.BatchNorm2d(out_channels)
        self.is_last = is_last

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w)."""
        y = cast("Tensor", self.bn(self.conv2(self.conv1(x))))
        return y if self.is_last else functional.relu(y)


class Backbone(nn.Module):
    """Pictures to features at strides 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, stride=2, padding=1)
        self.stem_bn = nn.BatchNorm2d(widths[0])
        self.stem_unit = SeparableUnit(widths[0], widths[0])
        self.stages = nn.ModuleList(
            nn.Sequential(SeparableUnit(before, before), SeparableUnit(before, after))
            for before, after in pairwise(widths)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, h, w) -> (n, 64, h/8, w/8), (n, 64, h/16, w/16), (n, 64, h/32, w/32)."""
        x = functional.relu(self.stem_bn(self.stem(x)))  # (n, 16, h/2, w/2)
        x = functional.max_pool2d(self.stem_unit(x), 2)  # (n, 16, h/4, w/4)
        x = self.stages[1](self.stages[0](x))  # (n, 64, h/4, w/4)
        at_8 = self.stages[2](functional.max_pool2d(x, 2))
        at_16 = self.stages[3](functional.max_pool2d(at_8, 2))
        at_32 = self.stages[4](functional.max_pool2d(at_16, 2))
        return at_8, at_16, at_32


class Head(nn.Module):
    """Features of one stride to its maps."""

    def __init__(self, *, shared_unit: bool) -> None:
        super().__init__()
        self.shared = SeparableUnit(CHANNELS, CHANNELS) if shared_unit else nn.Identity()
        self.cls = SeparableUnit(CHANNELS, 1, is_last=True)
        self.obj = SeparableUnit(CHANNELS, 1, is_last=True)
        self.bbox = SeparableUnit(CHANNELS, 4, is_last=True)
        self.kps = SeparableUnit(CHANNELS, 2 * LANDMARKS, is_last=True)

    def forward(self, x: Tensor) -> Maps:
        """(n, 64, h, w) -> maps of the same height and width."""
        x = self.shared(x)
        return Maps(self.cls(x), self.obj(x), self.bbox(x), self.kps(x))


class YuNet(nn.Module):
    """Pictures to scores, boxes and landmarks of every cell; nothing to be normalised before."""

    def __init__(self, config: YuNetConfig | None = None) -> None:
        super().__init__()
        config = config or YuNetConfig()
        self.config = config
        self.backbone = Backbone(config.widths)
        self.laterals = nn.ModuleList(SeparableUnit(CHANNELS, CHANNELS) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(shared_unit=config.shared_unit) for _ in STRIDES)
        _set_starting_weights(self)

    def pyramid(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, h, w) float32 BGR 0..255, sides multiples of 32 -> features of each stride.

        (n, 64, h/8, w/8), (n, 64, h/16, w/16), (n, 64, h/32, w/32), none below 0.
        """
        at_8, at_16, at_32 = self.backbone(pictures)
        # What the coarser level saw is added to the finer one, nearest neighbour.
        at_32 = self.laterals[2](at_32)
        at_16 = self.laterals[1](at_16 + functional.interpolate(at_32, scale_factor=2.0))
        at_8 = self.laterals[0](at_8 + functional.interpolate(at_16, scale_factor=2.0))
        return at_8, at_16, at_32

    def apply_heads(self, features: tuple[Tensor, Tensor, Tensor]) -> list[Maps]:
        """What `pyramid` gives -> the maps of each stride."""
        levels = zip(self.heads, features, strict=True)
        return [cast("Maps", head(one)) for head, one in levels]

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, h, w) float32 BGR 0..255, h and w multiples of 32 -> one tensor an output name.

        Each is (n, cells, channels), cells row by row. cls and obj are 0..1; the score of a
        cell is the square root of their product. With (column, row) of a cell and its stride s,
        its box is centred at s * (column + bbox[0], row + bbox[1]) and s * exp(bbox[2:4]) wide
        and high; its points lie at s * (column + kps[0], row + kps[1]) and so on.
        """
        return self.outputs(self.apply_heads(self.pyramid(pictures)))

    def outputs(self, levels: list[Maps]) -> tuple[Tensor, ...]:
        """Maps of each stride to what `forward` gives."""
        scores = [torch.sigmoid(_by_cell(level[kind])) for kind in (0, 1) for level in levels]
        if (power := self.config.score_power) != 1:
            scores = [score**power for score in scores]
        geometry = [_by_cell(level[kind]) for kind in (2, 3) for level in levels]
        return (*scores, *geometry)


def _by_cell(values: Tensor) -> Tensor:
    count, channels = values.shape[:2]
    return values.permute(0, 2, 3, 1).reshape(count, -1, channels)


def _set_starting_weights(network: YuNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for head in network.heads:
        # Faces are rare: starting at one cell in a hundred spares the first steps a shock.
        bias = cast("Head", head).obj.conv2.bias
        if bias is not None:
            nn.init.constant_(bias, -4.6)
