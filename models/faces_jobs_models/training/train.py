"""Trains a network by its recipe: teacher, epochs, post-hoc adjustment and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.networks import build_network
from faces_jobs_models.training.checkpoint import check_run_matches, epochs_done
from faces_jobs_models.training.data.prepare import PreparedDataSet
from faces_jobs_models.training.evaluation.calibrate import calibrate
from faces_jobs_models.training.evaluation.held_out import (
    HeldOutFigures,
    HeldOutPredictions,
    figures_of_held_out,
    predict_held_out,
)
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.loop import Report, run_epochs
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.run_identity import hash_of, hash_of_recipe
from faces_jobs_models.weights import Calibration

TEACHER = "teacher"  # folder of the teacher's run, next to the student's checkpoint and log


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The averaged and calibrated network of a run, with its figures on held-out faces."""

    network: AttributeNetwork  # on the CPU
    held_out: Sequence[HeldOutPredictions]  # including those for mirror images
    calibration: Mapping[str, Calibration]  # by head
    figures: Sequence[HeldOutFigures]


def train(
    recipe: Recipe,
    data_sets: Sequence[PreparedDataSet],
    *,
    out: Path,
    device: torch.device,
    report: Report,
) -> TrainingResult:
    """Train by the recipe, or resume the run in `out`.

    Args:
        recipe: of the model.
        data_sets: prepared crops, in the order of the recipe.
        out: folder of checkpoint and log; its folder `teacher` has those of the teacher.
        device: where to train. A run may be resumed on another device.
        report: called with a line of text for each epoch.

    Raises:
        ModelError: the run in `out`, or its teacher's, is of another recipe or other data.
    """
    check_runs_match(recipe, out, data=hash_of(data.content for data in data_sets))
    # `enabled` must be given: its default here is False, which is fifty times as slow.
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        # A finished network needs no teacher, whose checkpoint may have been deleted meanwhile.
        is_finished = epochs_done(out) >= recipe.epochs
        teacher = (
            None
            if is_finished
            else _train_teacher(recipe, data_sets, out=out, device=device, report=report)
        )
        feed = Feed(recipe, data_sets, device=device)
        network = run_epochs(
            recipe, feed, data_sets, out=out, device=device, teacher=teacher, report=report
        )
    priors = {head: values.cpu() for head, values in feed.priors().items()}
    final = _without_auxiliary_heads(recipe, network.cpu())
    _adjust_post_hoc(final, recipe, priors)
    held_out = predict_held_out(
        final, recipe.heads, data_sets, crop_size=recipe.crop_size, mirrored=True
    )
    return TrainingResult(
        final,
        held_out,
        calibrate(final, held_out),
        figures_of_held_out(recipe.heads, held_out),
    )


def check_runs_match(recipe: Recipe, out: Path, *, data: str | None = None) -> None:
    """Check that the runs in `out`, if any, are those of the recipe and of its teacher.

    Args:
        recipe: of the model.
        out: folder of the run.
        data: hash of the data; None where it is not known yet, so that it is not compared.

    Raises:
        ModelError: a run is of another recipe or other data.
    """
    for one, folder in ((recipe, out), (recipe.teacher, out / TEACHER)):
        if one is not None:
            check_run_matches(folder, recipe=hash_of_recipe(one), data=data)


def _train_teacher(
    recipe: Recipe,
    data_sets: Sequence[PreparedDataSet],
    *,
    out: Path,
    device: torch.device,
    report: Report,
) -> AttributeNetwork | None:
    teacher_recipe = recipe.teacher
    if teacher_recipe is None:
        return None
    feed = Feed(teacher_recipe, data_sets, device=device)
    network = run_epochs(
        teacher_recipe,
        feed,
        data_sets,
        out=out / TEACHER,
        device=device,
        teacher=None,
        report=report,
    )
    return network.eval().requires_grad_(False)


def _without_auxiliary_heads(recipe: Recipe, network: nn.Module) -> AttributeNetwork:
    kept = build_network(recipe.heads, recipe.network)
    state = network.state_dict()
    kept.load_state_dict(
        {
            name: own if name == "temperatures" else state[name]
            for name, own in kept.state_dict().items()
        }
    )
    return kept


@torch.no_grad()
def _adjust_post_hoc(
    network: AttributeNetwork, recipe: Recipe, priors: Mapping[str, Tensor]
) -> None:
    # Subtracting a multiple of the log priors moves predictions towards rarer labels.
    for head, multiple in recipe.post_hoc_adjustment.items():
        cast("nn.Linear", network.outputs[head]).bias.sub_(multiple * priors[head])
