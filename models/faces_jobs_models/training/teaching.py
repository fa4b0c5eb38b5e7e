"""Teachers: larger networks, trained first by the same recipe, whom the one that ships imitates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.half_precision import half_pays
from faces_jobs_models.training.loop import Say, Teachers, run_epochs
from faces_jobs_models.training.prepare import Prepared
from faces_jobs_models.training.recipes import Recipe


def train_teachers(
    recipe: Recipe,
    data_sets: Sequence[Prepared],
    *,
    out: Path,
    device: torch.device,
    say: Say,
) -> Teachers | None:
    """Train the recipe's teachers, or take those that `out` holds; None where it has none.

    Each has its own folder `teacher-N` in `out`, with checkpoint and log.
    """
    if recipe.teaching is None:
        return None
    networks = []
    for number, theirs in enumerate(recipe.teachers):
        network = run_epochs(
            theirs,
            Feed(theirs, data_sets, device=device),
            data_sets,
            out=out / f"teacher-{number}",
            device=device,
            teachers=None,
            say=say,
        )
        networks.append(network.eval())
    return _Panel(networks, recipe.teaching.temperature)


class _Panel:
    """The mean of what several networks say, each softened by the temperature."""

    def __init__(self, networks: Sequence[AttributeNetwork], temperature: float) -> None:
        self._networks = networks
        self._temperature = temperature

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> Mapping[str, Tensor]:
        device = crops.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half_pays(device)):
            answers = [network.logits(crops) for network in self._networks]
        return {
            head: torch.stack(
                [torch.softmax(one[head].float() / self._temperature, dim=1) for one in answers]
            ).mean(dim=0)
            for head in answers[0]
        }
