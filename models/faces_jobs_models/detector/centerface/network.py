"""CenterFace's network in torch: MobileNetV2, a feature pyramid up to stride 4, and one head.

Batch norm is folded into the convolutions, as in the file that its authors publish. Modules are
registered in the order in which they run, which is the order of the file's convolutions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from faces_jobs_models.detector.outputs import LANDMARKS

# MobileNetV2 (arXiv:1801.04381), table 2: expansion, channels, blocks' first stride, blocks.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 2, 3),
    (6, 64, 2, 4),
    (6, 96, 1, 3),
    (6, 160, 2, 3),
    (6, 320, 1, 1),
)
_STEM = 32
_PYRAMID_STAGES = (1, 2, 4, 6)  # whose outputs the pyramid takes: strides 4, 8, 16 and 32
_CHANNELS = 24  # of the pyramid


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expansion, 3x3 depthwise, 1x1 projection, and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1)
        self.has_shortcut = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h/stride, w/stride)."""
        y = x if self.expand is None else functional.relu(self.expand(x), inplace=True)
        y = functional.relu(self.depthwise(y), inplace=True)  # (n, hidden, h/stride, w/stride)
        y = cast("Tensor", self.project(y))  # (n, out, h/stride, w/stride)
        return x + y if self.has_shortcut else y


class PyramidLevel(nn.Module):
    """One level of the pyramid: adds the upsampled coarser level to the backbone's features."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(_CHANNELS, _CHANNELS, 2, stride=2)
        self.lateral = nn.Conv2d(in_channels, _CHANNELS, 1)

    def forward(self, coarser: Tensor, features: Tensor) -> Tensor:
        """(n, 24, h/2, w/2) and (n, in_channels, h, w) -> (n, 24, h, w)."""
        return functional.relu(self.upsample(coarser)) + functional.relu(self.lateral(features))


class CenterFace(nn.Module):
    """Maps pictures, which need no normalisation, to heatmap, sizes, offsets and landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, stride=2, padding=1)
        widths = (_STEM, *(channels for _, channels, _, _ in _STAGES))
        self.stages = nn.ModuleList(
            nn.Sequential(
                InvertedResidual(before, after, expansion=expansion, stride=stride),
                *(
                    InvertedResidual(after, after, expansion=expansion, stride=1)
                    for _ in range(blocks - 1)
                ),
            )
            for (before, after), (expansion, _, stride, blocks) in zip(
                pairwise(widths), _STAGES, strict=True
            )
        )
        *finer, coarsest = (_STAGES[stage][1] for stage in _PYRAMID_STAGES)
        self.coarsest = nn.Conv2d(coarsest, _CHANNELS, 1)
        self.levels = nn.ModuleList(PyramidLevel(channels) for channels in reversed(finer))
        self.head = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        self.maps = nn.ModuleList(
            nn.Conv2d(_CHANNELS, channels, 1) for channels in (1, 2, 2, 2 * LANDMARKS)
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(n, 3, h, w) RGB 0..255, sides multiples of 32 -> four maps (n, channels, h/4, w/4).

        The heatmap (1 channel) holds the logits of the scores; then come the logarithms of height
        and width in cells (2), offsets of the centre (2), and landmarks (10), pairs as (y, x).
        """
        x = functional.relu(self.stem(pictures), inplace=True)  # (n, 32, h/2, w/2)
        features = []  # of strides 4, 8, 16 and 32, with 24, 32, 96 and 320 channels
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _PYRAMID_STAGES:
                features.append(x)
        x = functional.relu(self.coarsest(features.pop()))  # (n, 24, h/32, w/32)
        for level in self.levels:
            x = level(x, features.pop())  # (n, 24, h/16, w/16), then h/8, then h/4
        x = functional.relu(self.head(x))  # (n, 24, h/4, w/4)
        heat, sizes, offsets, landmarks = (convolution(x) for convolution in self.maps)
        return heat, sizes, offsets, landmarks
