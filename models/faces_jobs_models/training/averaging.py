"""Averages of weights: the moving one of a run, and that of several runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights on: `decay` of them stays, the rest is the network's."""
    pairs = list(zip(averaged.state_dict().values(), network.state_dict().values(), strict=True))
    numbers = [(old, new) for old, new in pairs if old.is_floating_point()]
    # All at once: hundreds of small tensors, one by one, would cost a tenth of a step.
    torch._foreach_lerp_([old for old, _ in numbers], [new for _, new in numbers], 1 - decay)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)


@torch.no_grad()
def mean_of(networks: Sequence[nn.Module]) -> nn.Module:
    """The first of these networks, with the mean of the weights of all."""
    first, *others = networks
    for number, other in enumerate(others, 1):
        average(first, other, number / (number + 1))
    return first
