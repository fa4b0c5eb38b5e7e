"""The moving average of a run's weights, which is what ships."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the averaged weights on after a step: `decay` of them stays, the rest is the network's.

    A young average forgets faster, or it would hold on to the starting weights.
    """
    stays = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(averaged.state_dict().values(), network.state_dict().values(), strict=True))
    numbers = [(old, new) for old, new in pairs if old.is_floating_point()]
    # All at once: hundreds of small tensors, one by one, would cost a tenth of a step.
    torch._foreach_lerp_([old for old, _ in numbers], [new for _, new in numbers], 1 - stays)
    for old, new in pairs:
        if not old.is_floating_point():
            old.copy_(new)
