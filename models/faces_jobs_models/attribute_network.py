"""The network of all three classifiers: one shared body and one linear head per attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from faces_jobs_models.residual import BodyConfig, ResidualBody

_BGR_TO_GRAY = (0.114, 0.587, 0.299)  # ITU-R BT.601, as cv2.cvtColor
_PIXEL_MEAN, _PIXEL_SCALE = 127.5, 64.0
_MIN_DEVIATION = 8.0  # of 255: a crop with less contrast is noise, which must not be amplified
_HEAD_STD = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Size of a classifier. With one input channel, crops become gray with equal contrast."""

    body: BodyConfig = field(default_factory=BodyConfig)
    dropout: float = 0.3


class AttributeNetwork(nn.Module):
    """Maps crops to the probabilities of each head. It normalises the pixels itself."""

    def __init__(self, heads: Mapping[str, tuple[str, ...]], config: NetworkConfig) -> None:
        super().__init__()
        self.heads = dict(heads)  # a proxy can't be deep-copied
        self.is_gray = config.body.in_channels == 1
        gray = torch.tensor(_BGR_TO_GRAY).reshape(1, 3, 1, 1)
        self.register_buffer("gray", gray, persistent=False)
        self.body = ResidualBody(config.body)
        self.dropout = nn.Dropout(config.dropout)
        self.outputs = nn.ModuleDict(
            {head: nn.Linear(self.body.channels, len(labels)) for head, labels in heads.items()}
        )
        # Fitted after training, for calibrated probabilities (arXiv:1706.04599).
        self.register_buffer("temperatures", torch.ones(len(self.heads)))
        _init_weights(self)

    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> {head: (n, labels)}, before softmax.

        A gray network also accepts (n, 1, 64, 64).
        """
        # (n, in_channels, 64, 64). In colour, brightness is kept: the illumination head needs it.
        x = self._normalised_gray(crops) if self.is_gray else _scaled(crops)
        x = self.dropout(self.body(x))  # (n, channels)
        return {head: layer(x) for head, layer in self.outputs.items()}  # (n, labels) each

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> (n, labels) probabilities of each head."""
        logits = self.logits(crops)  # (n, labels) each
        temperatures = self.get_buffer("temperatures")
        return tuple(
            torch.softmax(logits[head] / temperatures[index], dim=1)
            for index, head in enumerate(self.heads)
        )

    def _normalised_gray(self, crops: Tensor) -> Tensor:
        # A gray crop of one channel is broadcast over the three weights, which sum to 1: it stays
        # unchanged. Mean and contrast are normalised, since they tell nothing about expressions.
        x = (crops * self.get_buffer("gray")).sum(dim=1, keepdim=True)  # (n, 1, 64, 64)
        x = x - x.mean(dim=(2, 3), keepdim=True)  # (n, 1, 64, 64)
        deviation = (x * x).mean(dim=(2, 3), keepdim=True).sqrt()  # (n, 1, 1, 1)
        return x / deviation.clamp(min=_MIN_DEVIATION)  # (n, 1, 64, 64)


def _scaled(crops: Tensor) -> Tensor:
    return (crops - _PIXEL_MEAN) / _PIXEL_SCALE


def _init_weights(network: nn.Module) -> None:
    """Initialise convolutions after He et al., linear layers with small normal weights."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=_HEAD_STD)
            nn.init.zeros_(module.bias)
