"""YuNet, an anchor-free face detection network with about 75 thousand parameters.

Written after Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 20 (2023). With default options it is the paper's variant n, so the official weights fit.
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

CHANNELS = 64  # of the features at every stride

_CLS, _OBJ, _BBOX, _KPS = range(4)  # the fields of `Maps`
_INITIAL_OBJ_LOGIT = -4.6  # sigmoid: 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class YuNetConfig:
    """Options of the network; the defaults are those of the official variant n (75,856 parameters).

    Variant s (54,608 parameters, the file in OpenCV's zoo) has widths 16, 32, 64, 64, 64, 64 and no
    shared unit in its heads.
    """

    widths: tuple[int, ...] = (16, CHANNELS, CHANNELS, CHANNELS, CHANNELS, CHANNELS)
    shared_unit: bool = True
    score_power: float = 1.0
    """Exponent that the scores are raised to: it moves a chosen operating point to 0.5."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Read the table `network` of a record; missing options have their defaults.

        Raises:
            KeyError: an option is unknown.
            ValueError: the widths or the score power are out of range.
        """
        unknown = options.keys() - {"widths", "shared_unit", "score_power"}
        if unknown:
            raise KeyError(f"unknown options: {', '.join(sorted(unknown))}")
        widths = tuple(int(width) for width in options.get("widths", cls().widths))
        if len(widths) != len(cls().widths) or min(widths) < 1 or set(widths[3:]) != {CHANNELS}:
            raise ValueError(f"widths must be six, the last three {CHANNELS}, not {widths}")
        power = float(options.get("score_power", cls().score_power))
        if not 0 < power < math.inf:
            raise ValueError(f"score_power must be above 0, not {power}")
        return cls(
            widths=widths,
            shared_unit=bool(options.get("shared_unit", True)),
            score_power=power,
        )


class Maps(NamedTuple):
    """The head's raw outputs at one stride, each (n, channels, h/stride, w/stride)."""

    cls: Tensor  # (n, 1, ...) logit of the box quality, if there is a face
    obj: Tensor  # (n, 1, ...) logit of whether a face is centred near this cell
    bbox: Tensor  # (n, 4, ...) centre as offset from the cell, logarithm of the size, in strides
    kps: Tensor  # (n, 10, ...) five points (x, y) as offsets from the cell, in strides


class SeparableUnit(nn.Module):
    """A pointwise (1x1), then a depthwise (3x3) convolution: the paper's DPUnit."""

    def __init__(self, in_channels: int, out_channels: int, *, is_last: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, groups=out_channels)
        # The last unit of a head returns unbounded values: no norm, no ReLU.
        self.bn = nn.Identity() if is_last else nn.BatchNorm2d(out_channels)
        self.is_last = is_last

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h, w)."""
        y = cast("Tensor", self.bn(self.conv2(self.conv1(x))))  # (n, out, h, w)
        return y if self.is_last else functional.relu(y)


class Backbone(nn.Module):
    """Maps pictures to features at strides 8, 16 and 32."""

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
        x = functional.relu(self.stem_bn(self.stem(x)))  # (n, widths[0], h/2, w/2)
        x = functional.max_pool2d(self.stem_unit(x), 2)  # (n, widths[0], h/4, w/4)
        x = self.stages[1](self.stages[0](x))  # (n, widths[2], h/4, w/4)
        at_8 = self.stages[2](functional.max_pool2d(x, 2))  # (n, 64, h/8, w/8)
        at_16 = self.stages[3](functional.max_pool2d(at_8, 2))  # (n, 64, h/16, w/16)
        at_32 = self.stages[4](functional.max_pool2d(at_16, 2))  # (n, 64, h/32, w/32)
        return at_8, at_16, at_32


class Head(nn.Module):
    """The detection head of one stride."""

    def __init__(self, *, shared_unit: bool) -> None:
        super().__init__()
        self.shared = SeparableUnit(CHANNELS, CHANNELS) if shared_unit else nn.Identity()
        self.cls = SeparableUnit(CHANNELS, 1, is_last=True)
        self.obj = SeparableUnit(CHANNELS, 1, is_last=True)
        self.bbox = SeparableUnit(CHANNELS, 4, is_last=True)
        self.kps = SeparableUnit(CHANNELS, 2 * LANDMARKS, is_last=True)

    def forward(self, x: Tensor) -> Maps:
        """(n, 64, h, w) -> `Maps` of the same height and width."""
        x = self.shared(x)  # (n, 64, h, w)
        return Maps(self.cls(x), self.obj(x), self.bbox(x), self.kps(x))


class YuNet(nn.Module):
    """Maps pictures, which need no normalisation, to the score, box and landmarks of every cell."""

    def __init__(self, config: YuNetConfig | None = None) -> None:
        super().__init__()
        config = config or YuNetConfig()
        self.config = config
        self.backbone = Backbone(config.widths)
        self.laterals = nn.ModuleList(SeparableUnit(CHANNELS, CHANNELS) for _ in STRIDES)
        self.heads = nn.ModuleList(Head(shared_unit=config.shared_unit) for _ in STRIDES)
        _init_weights(self)

    def pyramid(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, h, w) float32 BGR 0..255, h and w multiples of 32 -> features of each stride.

        (n, 64, h/8, w/8), (n, 64, h/16, w/16), (n, 64, h/32, w/32), all at least 0.
        """
        at_8, at_16, at_32 = self.backbone(pictures)
        # Top-down: upsampled by nearest neighbour and added to the finer level.
        at_32 = self.laterals[2](at_32)  # (n, 64, h/32, w/32)
        at_16 = self.laterals[1](at_16 + functional.interpolate(at_32, scale_factor=2.0))
        at_8 = self.laterals[0](at_8 + functional.interpolate(at_16, scale_factor=2.0))
        return at_8, at_16, at_32

    def apply_heads(self, features: tuple[Tensor, Tensor, Tensor]) -> list[Maps]:
        """Features of each stride, as `pyramid` returns them -> maps of each stride."""
        levels = zip(self.heads, features, strict=True)
        return [cast("Maps", head(level)) for head, level in levels]

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, h, w) float32 BGR 0..255, h and w multiples of 32 -> one tensor an output name.

        Each is (n, cells, channels), cells row by row. cls and obj are 0..1; the score of a
        cell is the square root of their product. For the cell (column, row) of stride s,
        the box is centred at s * (column + bbox[0], row + bbox[1]) and s * exp(bbox[2:4]) wide
        and high; the points are at s * (column + kps[0], row + kps[1]) and so on.
        """
        return self.outputs(self.apply_heads(self.pyramid(pictures)))

    def outputs(self, levels: list[Maps]) -> tuple[Tensor, ...]:
        """Maps of each stride -> the outputs of `forward`."""
        scores = [torch.sigmoid(_by_cell(level[kind])) for kind in (_CLS, _OBJ) for level in levels]
        if (power := self.config.score_power) != 1:
            scores = [score**power for score in scores]
        geometry = [_by_cell(level[kind]) for kind in (_BBOX, _KPS) for level in levels]
        return (*scores, *geometry)


def _by_cell(values: Tensor) -> Tensor:
    """(n, channels, h, w) -> (n, h * w, channels)."""
    count, channels = values.shape[:2]
    return values.permute(0, 2, 3, 1).reshape(count, -1, channels)


def _init_weights(network: YuNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for head in network.heads:
        # Few cells hold a face: a low initial probability keeps the first losses stable.
        bias = cast("Head", head).obj.conv2.bias
        if bias is not None:
            nn.init.constant_(bias, _INITIAL_OBJ_LOGIT)
