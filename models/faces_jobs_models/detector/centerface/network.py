"""CenterFace's network in torch: MobileNetV2, a pyramid that climbs to stride 4, one head.

Batch norm is folded into the convolutions, as in the file that its authors publish. Modules stand
in the order in which they run: so do the convolutions of the file.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from faces_jobs_models.detector.outputs import LANDMARKS

# MobileNetV2's table: times as wide inside, channels, stride of the first block, blocks.
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
_TAPPED = (1, 2, 4, 6)  # the stages whose end the pyramid looks at: strides 4, 8, 16 and 32
_CHANNELS = 24  # of the pyramid


class Block(nn.Module):
    """Wider by a 1x1 convolution, 3x3 of each channel, narrower by another 1x1; then added."""

    def __init__(self, before: int, after: int, *, times: int, stride: int) -> None:
        super().__init__()
        inside = before * times
        self.wider = nn.Conv2d(before, inside, 1) if times > 1 else None
        self.each = nn.Conv2d(inside, inside, 3, stride, padding=1, groups=inside)
        self.narrower = nn.Conv2d(inside, after, 1)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) -> (n, after, h/stride, w/stride)."""
        y = x if self.wider is None else functional.relu(self.wider(x), inplace=True)
        y = functional.relu(self.each(y), inplace=True)
        y = cast("Tensor", self.narrower(y))
        return x + y if self.adds else y


class Climb(nn.Module):
    """One level of the pyramid: the coarser one at twice its size, and the backbone's beside it."""

    def __init__(self, beside: int) -> None:
        super().__init__()
        self.larger = nn.ConvTranspose2d(_CHANNELS, _CHANNELS, 2, stride=2)
        self.beside = nn.Conv2d(beside, _CHANNELS, 1)

    def forward(self, coarser: Tensor, features: Tensor) -> Tensor:
        """(n, 24, h/2, w/2) and (n, beside, h, w) -> (n, 24, h, w)."""
        return functional.relu(self.larger(coarser)) + functional.relu(self.beside(features))


class CenterFace(nn.Module):
    """Pictures to heatmap, sizes, offsets and landmarks; nothing to be normalised before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, _STEM, 3, stride=2, padding=1)
        widths = (_STEM, *(channels for _, channels, _, _ in _STAGES))
        self.stages = nn.ModuleList(
            nn.Sequential(
                Block(before, after, times=times, stride=stride),
                *(Block(after, after, times=times, stride=1) for _ in range(blocks - 1)),
            )
            for (before, after), (times, _, stride, blocks) in zip(
                pairwise(widths), _STAGES, strict=True
            )
        )
        *finer, coarsest = (_STAGES[stage][1] for stage in _TAPPED)
        self.lowest = nn.Conv2d(coarsest, _CHANNELS, 1)
        self.climbs = nn.ModuleList(Climb(channels) for channels in reversed(finer))
        self.head = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1)
        self.maps = nn.ModuleList(
            nn.Conv2d(_CHANNELS, channels, 1) for channels in (1, 2, 2, 2 * LANDMARKS)
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(n, 3, h, w) 0..255, sides multiples of 32 -> four maps (n, channels, h/4, w/4).

        The heatmap (1 channel) is what becomes a score by a sigmoid; then come logarithms of
        height and width in cells (2), offsets of the centre (2), landmarks (10), each pair as
        (down, across).
        """
        x = functional.relu(self.stem(pictures), inplace=True)
        tapped = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _TAPPED:
                tapped.append(x)
        x = functional.relu(self.lowest(tapped.pop()))
        for climb in self.climbs:
            x = climb(x, tapped.pop())
        x = functional.relu(self.head(x))
        heat, sizes, offsets, landmarks = (one(x) for one in self.maps)
        return heat, sizes, offsets, landmarks
