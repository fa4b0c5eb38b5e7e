"""Trains one network by its recipe: epochs, schedule, averaged weights, checkpoints, a log."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.networks import build_network
from faces_jobs_models.training.calibrate import calibrate
from faces_jobs_models.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from faces_jobs_models.training.evaluate import answer_with, evaluate
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.figures import Figures
from faces_jobs_models.training.half_precision import half_pays
from faces_jobs_models.training.losses import multi_task_loss
from faces_jobs_models.training.prepare import Prepared
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.start import start_from
from faces_jobs_models.weights import Calibration

LOG_NAME = "log.jsonl"
_LARGEST_GRADIENT = 5.0  # its norm; a rare bad batch would undo an hour

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run gives: the averaged network, calibrated, and its figures on held-out faces."""

    network: AttributeNetwork
    calibration: Mapping[str, Calibration]  # head -> what its record says
    figures: Sequence[Figures]


def train(
    recipe: Recipe, data_sets: Sequence[Prepared], *, out: Path, say: Say, measure_every: int = 3
) -> Trained:
    """Train, or go on with the run in `out`.

    Args:
        recipe: what to do.
        data_sets: prepared crops, in the order of the recipe.
        out: folder of checkpoint and log.
        say: takes one line an epoch.
        measure_every: epochs between measurements on the held-out faces. They are for the log:
            nothing is chosen by them, the last averaged weights are the result.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.training_heads, recipe.network)
    if recipe.starts_from is not None:
        start_from(network, recipe.starts_from)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lags
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        _groups(network, recipe.weight_decay), lr=recipe.learning_rate, betas=(0.9, 0.99)
    )
    feed = Feed(recipe, data_sets)
    priors = feed.priors()
    progress = load_checkpoint(out, network=network, averaged=averaged, optimizer=optimizer)
    total_steps = feed.steps_an_epoch * recipe.epochs
    step = progress.step
    half = half_pays()
    for epoch in range(progress.epoch, recipe.epochs):
        started = time.monotonic()
        network.train()
        torch.manual_seed(recipe.seed + epoch)  # dropout draws from it
        losses = []
        for batch in feed.epoch(epoch):
            _set_rate(optimizer, recipe, step / total_steps)
            # The averaged weights come out the same.
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                logits = network.logits(batch.crops)
            loss = multi_task_loss(
                {head: values.float() for head, values in logits.items()},
                batch.targets,
                priors=priors,
                adjustment=recipe.adjustment,
                head_weights={**recipe.head_weights, **recipe.auxiliary},
                smoothing=recipe.smoothing,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            step += 1
            # A young average forgets faster, or it would hold on to the starting weights.
            _average(averaged, network, min(recipe.average, (1 + step) / (10 + step)))
            losses.append(float(loss.detach()))
        done = Progress(epoch=epoch + 1, step=step)
        save_checkpoint(out, network=network, averaged=averaged, optimizer=optimizer, progress=done)
        measured = (epoch + 1) % measure_every == 0 and epoch + 1 < recipe.epochs
        figures = _measure(recipe, averaged, data_sets) if measured else []
        seconds = time.monotonic() - started
        _log(out, epoch + 1, float(np.mean(losses)), seconds, figures)
        say(_line(recipe, epoch + 1, float(np.mean(losses)), seconds, figures))
    result = _finished(recipe, averaged, priors)
    calibration = calibrate(result, data_sets, crop_size=recipe.crop_size)
    return Trained(result, calibration, _measure(recipe, result, data_sets))


def _finished(
    recipe: Recipe, network: AttributeNetwork, priors: Mapping[str, Tensor]
) -> AttributeNetwork:
    # Without the auxiliary heads, and leaning as far to rare labels as the recipe says.
    kept = build_network(MODELS[recipe.model], recipe.network)
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


def _measure(
    recipe: Recipe, network: AttributeNetwork, data_sets: Sequence[Prepared]
) -> list[Figures]:
    return evaluate(
        recipe.model,
        MODELS[recipe.model],
        answer_with(network),
        data_sets,
        crop_size=recipe.crop_size,
    )


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    # Norms and biases are not pulled towards zero.
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    if done < recipe.warm_up:
        share = done / recipe.warm_up
    else:
        share = 0.5 * (1 + math.cos(math.pi * (done - recipe.warm_up) / (1 - recipe.warm_up)))
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * max(share, 1e-3)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for old, new in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def _log(out: Path, epoch: int, loss: float, seconds: float, figures: Sequence[Figures]) -> None:
    entry = {
        "epoch": epoch,
        "loss": loss,
        "seconds": round(seconds, 1),
        "figures": [asdict(one) for one in figures],
    }
    with (out / LOG_NAME).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def _line(
    recipe: Recipe, epoch: int, loss: float, seconds: float, figures: Sequence[Figures]
) -> str:
    shown = "  ".join(
        f"{one.head}/{one.data_set} {one.accuracy:.1%} balanced {one.balanced_accuracy:.1%}"
        for one in figures
    )
    return f"{recipe.model} {epoch}/{recipe.epochs} loss {loss:.4f} {seconds:.0f} s  {shown}"
