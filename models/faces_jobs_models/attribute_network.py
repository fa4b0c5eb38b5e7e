"""What the three classifier networks have in common: heads of logits, probabilities out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class AttributeNetwork(nn.Module):
    """Crops in, probabilities of each head out. Normalisation of pixels is part of the network."""

    heads: Mapping[str, tuple[str, ...]]

    @abstractmethod
    def logits(self, crops: Tensor) -> dict[str, Tensor]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> head name to (n, labels), before softmax."""

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(n, 3, 64, 64) float32 BGR 0..255 -> (n, labels) for each head, in the heads' order."""
        logits = self.logits(crops)
        return tuple(torch.softmax(logits[head], dim=1) for head in self.heads)


def set_starting_weights(network: nn.Module) -> None:
    """He initialisation for convolutions, small dense layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
