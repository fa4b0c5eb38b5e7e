"""A recipe's training as a whole: its epochs, and what is done to the network at their end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.networks import build_network
from faces_jobs_models.training.calibrate import calibrate
from faces_jobs_models.training.checkpoint import check_run_matches, epochs_done
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.held_out import (
    HeldOutFigures,
    HeldOutPredictions,
    figures_of_held_out,
    predict_held_out,
)
from faces_jobs_models.training.loop import Report, run_epochs
from faces_jobs_models.training.prepare import PreparedDataSet
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.run_identity import hash_of, hash_of_recipe
from faces_jobs_models.weights import Calibration

TEACHER = "teacher"  # its folder beside a run's checkpoint and log


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run gives: the averaged network, calibrated, and its figures on held-out faces."""

    network: AttributeNetwork  # on the CPU
    held_out: Sequence[HeldOutPredictions]  # its answers, with mirror images
    calibration: Mapping[str, Calibration]  # head -> what its record says
    figures: Sequence[HeldOutFigures]


def train(
    recipe: Recipe,
    data_sets: Sequence[PreparedDataSet],
    *,
    out: Path,
    device: torch.device,
    report: Report,
) -> TrainingResult:
    """Train, or go on with the run in `out`.

    Args:
        recipe: what to do.
        data_sets: prepared crops, in the order of the recipe.
        out: folder of checkpoints and logs; its folder `teacher` has those of the teacher.
        device: where to calculate. A run that goes on may do so on another device.
        report: takes one line an epoch.

    Raises:
        ModelError: the run in `out`, or its teacher's, is another one.
    """
    check_runs_match(recipe, out, data=hash_of(data.content for data in data_sets))
    # Whoever says nothing of `enabled` here trains without cuDNN, fifty times as slowly.
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        # Nobody has to teach a network that has learnt all: its teacher need not be there any more.
        learning = epochs_done(out) < recipe.epochs
        teacher = (
            _teacher(recipe, data_sets, out=out, device=device, report=report) if learning else None
        )
        feed = Feed(recipe, data_sets, device=device)
        network = run_epochs(
            recipe, feed, data_sets, out=out, device=device, teacher=teacher, report=report
        )
    priors = {head: values.cpu() for head, values in feed.priors().items()}
    result = _finished(recipe, network.cpu(), priors)
    held_out = predict_held_out(
        result, recipe.heads, data_sets, crop_size=recipe.crop_size, mirrored=True
    )
    return TrainingResult(
        result,
        held_out,
        calibrate(result, held_out),
        figures_of_held_out(recipe.heads, held_out),
    )


def check_runs_match(recipe: Recipe, out: Path, *, data: str | None = None) -> None:
    """Look whether what `out` holds is the recipe's run, and its teacher's, if anything.

    Raises:
        ModelError: it is not.
    """
    for one, folder in ((recipe, out), (recipe.teacher, out / TEACHER)):
        if one is not None:
            check_run_matches(folder, recipe=hash_of_recipe(one), data=data)


def _teacher(
    recipe: Recipe,
    data_sets: Sequence[PreparedDataSet],
    *,
    out: Path,
    device: torch.device,
    report: Report,
) -> AttributeNetwork | None:
    theirs = recipe.teacher
    if theirs is None:
        return None
    feed = Feed(theirs, data_sets, device=device)
    network = run_epochs(
        theirs, feed, data_sets, out=out / TEACHER, device=device, teacher=None, report=report
    )
    return network.eval().requires_grad_(False)


def _finished(recipe: Recipe, network: nn.Module, priors: Mapping[str, Tensor]) -> AttributeNetwork:
    # Without the auxiliary heads, and leaning as far to rare labels as the recipe says.
    kept = build_network(recipe.heads, recipe.network)
    state = network.state_dict()
    kept.load_state_dict(
        {
            name: own if name == "temperatures" else state[name]
            for name, own in kept.state_dict().items()
        }
    )
    with torch.no_grad():
        for head, multiple in recipe.post_hoc_adjustment.items():
            cast("nn.Linear", kept.outputs[head]).bias.sub_(multiple * priors[head])
    return kept
