"""Exponential moving average (EMA) of a network's weights during training."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Update the averaged weights after a training step, in place.

    The decay is lower during the first steps, or the average would keep too much of the initial
    weights.
    """
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(averaged.state_dict().values(), network.state_dict().values(), strict=True))
    floats = [(old, new) for old, new in pairs if old.is_floating_point()]
    # One call for hundreds of small tensors: one by one, they would take a tenth of a step.
    torch._foreach_lerp_([old for old, _ in floats], [new for _, new in floats], 1 - decay)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
