"""A recipe's training as a whole: its epochs, and what is done to the network at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.networks import build_network
from faces_jobs_models.training.averaging import mean_of
from faces_jobs_models.training.calibrate import calibrate
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.figures import Figures
from faces_jobs_models.training.loop import Say, measure_held_out, run_epochs
from faces_jobs_models.training.prepare import Prepared
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.start import start_from
from faces_jobs_models.weights import Calibration


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gives: the averaged network, calibrated, and its figures on held-out faces."""

    network: AttributeNetwork  # on the CPU
    calibration: Mapping[str, Calibration]  # head -> what its record says
    figures: Sequence[Figures]


def train(
    recipe: Recipe, data_sets: Sequence[Prepared], *, out: Path, device: torch.device, say: Say
) -> Trained:
    """Train, or go on with the run in `out`.

    Args:
        recipe: what to do.
        data_sets: prepared crops, in the order of the recipe.
        out: folder of checkpoints and logs.
        device: where to calculate. A run that goes on may do so on another device.
        say: takes one line an epoch.
    """
    networks: list[AttributeNetwork] = []
    priors: Mapping[str, Tensor] = {}
    for number, folder in enumerate(run_folders(recipe, out)):
        run = replace(recipe, seed=recipe.seed + 1000 * number)
        feed = Feed(run, data_sets, device=device)
        # Whoever says nothing of `enabled` here trains without cuDNN, fifty times as slowly.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            network = run_epochs(run, feed, data_sets, out=folder, device=device, say=say)
        networks.append(network.cpu())
        priors = {head: values.cpu() for head, values in feed.priors().items()}
    result = _finished(recipe, mean_of(networks), priors)
    calibration = calibrate(result, data_sets, crop_size=recipe.crop_size)
    return Trained(result, calibration, measure_held_out(recipe, result, data_sets))


def run_folders(recipe: Recipe, out: Path) -> list[Path]:
    """Where each run of a recipe keeps its checkpoint and log; the first one in `out` itself."""
    return [out, *(out / f"run-{number}" for number in range(2, recipe.runs + 1))]


def _finished(recipe: Recipe, network: nn.Module, priors: Mapping[str, Tensor]) -> AttributeNetwork:
    # Without the auxiliary heads, and leaning as far to rare labels as the recipe says.
    kept = build_network(recipe.heads, recipe.network)
    if recipe.starts_from is not None:
        start_from(kept, recipe.starts_from)
    state = network.state_dict()
    mixed = {
        name: torch.lerp(state[name], start, recipe.kept_share)
        if start.is_floating_point()
        else state[name]
        for name, start in kept.state_dict().items()
        if name != "temperatures"
    }
    kept.load_state_dict({**kept.state_dict(), **mixed})
    with torch.no_grad():
        for head, multiple in recipe.lean.items():
            cast("nn.Linear", kept.outputs[head]).bias.sub_(multiple * priors[head])
    return kept
