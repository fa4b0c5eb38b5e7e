"""The network of all three classifiers: one body, a head of logits for each attribute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from faces_jobs_models.residual import BodyConfig, ResidualBody

_BGR_TO_GRAY = (0.114, 0.587, 0.299)  # ITU-R BT.601, as cv2.cvtColor
_SMALLEST_DEVIATION = 8.0  # of 255; below it a crop is noise, which must not be blown up


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Size of a classifier. A body of one channel sees gray crops of equal contrast."""

    body: BodyConfig = field(default_factory=BodyConfig)
    dropout: float = 0.3  # acts in training only


class AttributeNetwork(nn.Module):
    """Crops in, probabilities of each head out. Normalisation of pixels is part of the network."""

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
        # Fitted after training: what a probability says is then as often right.
        self.register_buffer("temperatures", torch.ones(len(self.heads)))
        _set_starting_weights(self)

    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> head name to (n, labels), before softmax.

        A gray network also takes (n, 1, 64, 64).
        """
        # In colour, brightness stays as it is: it is what the illumination head reads.
        x = self._equal_gray(crops) if self.is_gray else (crops - 127.5) / 64.0
        x = self.dropout(self.body(x))  # (n, channels)
        return {head: layer(x) for head, layer in self.outputs.items()}

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> (n, labels) for each head, in the heads' order."""
        logits = self.logits(crops)
        temperatures = self.get_buffer("temperatures")
        return tuple(
            torch.softmax(logits[head] / temperatures[index], dim=1)
            for index, head in enumerate(self.heads)
        )

    def _equal_gray(self, crops: Tensor) -> Tensor:
        # The weights sum to 1, so that a gray crop, spread over three channels, stays itself.
        # Mean and contrast are made equal, since neither says anything about an expression.
        x = (crops * self.get_buffer("gray")).sum(dim=1, keepdim=True)  # (n, 1, 64, 64)
        x = x - x.mean(dim=(2, 3), keepdim=True)  # (n, 1, 64, 64)
        deviation = (x * x).mean(dim=(2, 3), keepdim=True).sqrt()  # (n, 1, 1, 1)
        return x / deviation.clamp(min=_SMALLEST_DEVIATION)


def _set_starting_weights(network: nn.Module) -> None:
    """He initialisation for convolutions, small dense layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
