"""Trains the detector by its recipe: scenes, the teacher's answers, checkpoints, a log."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from faces_jobs_models.training.detector.losses import distillation_loss
from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Scenes

LOG_NAME = "log.jsonl"
_LARGEST_GRADIENT = 10.0

Say = Callable[[str], None]


class Teacher(Protocol):
    """A detector with the same outputs as `YuNet`, whose answers are learnt."""

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, h, w) float32 BGR 0..255 to the twelve arrays of `OUTPUT_NAMES`."""


def train_detector(
    recipe: DetectorRecipe, scenes: Scenes, teacher: Teacher, *, out: Path, say: Say
) -> YuNet:
    """Train, or go on with the run in `out`; the averaged network is the result.

    Each epoch draws its scenes from the seed and its own number, so that a run which was cut off
    and resumed sees what an unbroken one sees.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = YuNet(recipe.network)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lags
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    progress = load_checkpoint(out, network=network, averaged=averaged, optimizer=optimizer)
    steps_an_epoch = max(1, recipe.scenes_an_epoch // recipe.batch)
    total_steps = steps_an_epoch * recipe.epochs
    step = progress.step
    for epoch in range(progress.epoch, recipe.epochs):
        started = time.monotonic()
        network.train()
        chance = np.random.default_rng((recipe.seed, epoch))
        losses = []
        for _ in range(steps_an_epoch):
            pictures = np.stack([scenes.draw(chance) for _ in range(recipe.batch)])
            batch = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32)
            answers = [torch.from_numpy(answer) for answer in teacher.run(batch)]
            _set_rate(optimizer, recipe, step / total_steps)
            crops = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                maps = network.maps(crops)
            loss = distillation_loss(
                maps,
                answers,
                box_weight=recipe.box_weight,
                landmark_weight=recipe.landmark_weight,
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own
            nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
            step += 1
            _average(averaged, network, min(recipe.average, (1 + step) / (10 + step)))
            losses.append(float(loss.detach()))
        done = Progress(epoch=epoch + 1, step=step)
        save_checkpoint(out, network=network, averaged=averaged, optimizer=optimizer, progress=done)
        seconds = time.monotonic() - started
        entry = {"epoch": epoch + 1, "loss": float(np.mean(losses)), "seconds": round(seconds, 1)}
        with (out / LOG_NAME).open("a") as file:
            file.write(json.dumps(entry) + "\n")
        say(f"detector {epoch + 1}/{recipe.epochs} loss {entry['loss']:.4f} {seconds:.0f} s")
    return averaged.eval()


def _set_rate(optimizer: torch.optim.Optimizer, recipe: DetectorRecipe, done: float) -> None:
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
