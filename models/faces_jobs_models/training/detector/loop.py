"""The training loop of the detector: distillation losses, schedule, checkpoints and log."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from faces_jobs_models.detector.yunet import YuNet
from faces_jobs_models.training.averaging import update_average
from faces_jobs_models.training.checkpoint import (
    Progress,
    append_to_log,
    load_checkpoint,
    save_checkpoint,
)
from faces_jobs_models.training.detector.feed import Batch, batches
from faces_jobs_models.training.detector.losses import distillation_loss, hint_loss
from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Scenes
from faces_jobs_models.training.detector.teacher import Teacher
from faces_jobs_models.training.half_precision import has_fast_bfloat16
from faces_jobs_models.training.run_identity import RunIdentity

_MAX_GRADIENT_NORM = 10.0
_MIN_RATE_FACTOR = 1e-3  # of the recipe's learning rate

Report = Callable[[str], None]


def train_detector(
    recipe: DetectorRecipe,
    scenes: Scenes,
    teacher: Teacher,
    *,
    out: Path,
    device: torch.device,
    run: RunIdentity,
    workers: int,
    report: Report,
) -> YuNet:
    """Train, or resume the run in `out`, and return the averaged network.

    `workers` is the number of processes that make scenes and run the teacher in advance.

    Raises:
        ModelError: the run in `out` is another one than `run`.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = YuNet(recipe.network)
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lags
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    progress = load_checkpoint(
        out, network=network, averaged=averaged, optimizer=optimizer, run=run
    )
    total_steps = recipe.steps_per_epoch * recipe.epochs
    step = progress.step
    feed = batches(recipe, scenes, teacher, first=step, end=total_steps, workers=workers)
    for epoch in range(progress.epoch, recipe.epochs):
        started = time.monotonic()
        network.train()
        losses, hints = [], []
        for _ in range(recipe.steps_per_epoch):
            _set_learning_rate(optimizer, recipe, step / total_steps)
            loss, hint = _losses(network, next(feed), recipe, device)
            _update(network, optimizer, loss + recipe.hint_weight * hint)
            step += 1
            update_average(averaged, network, decay=recipe.ema_decay, step=step)
            losses.append(loss.detach())
            hints.append(hint.detach())
        progress = Progress(epoch=epoch + 1, step=step)
        save_checkpoint(
            out, network=network, averaged=averaged, optimizer=optimizer, progress=progress, run=run
        )
        seconds = time.monotonic() - started
        entry = {
            "epoch": epoch + 1,
            "loss": float(torch.stack(losses).mean()),
            "hint": float(torch.stack(hints).mean()),
            "seconds": round(seconds, 1),
        }
        append_to_log(out, entry)
        figures = f"loss {entry['loss']:.4f} hint {entry['hint']:.4f} {seconds:.0f} s"
        report(f"detector {epoch + 1}/{recipe.epochs} {figures}")
    return averaged.eval()


def _update(network: YuNet, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT_NORM)
    optimizer.step()


def _losses(
    network: YuNet, batch: Batch, recipe: DetectorRecipe, device: torch.device
) -> tuple[Tensor, Tensor]:
    # Of the teacher's outputs, and of its features.
    outputs = [torch.from_numpy(one).to(device) for one in batch.outputs]
    features = [torch.from_numpy(one).to(device) for one in batch.features]
    # The permuted view is in channels-last order already.
    pictures = torch.from_numpy(batch.pictures).to(device).permute(0, 3, 1, 2).float()
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_fast_bfloat16(device)):
        pyramid = network.pyramid(pictures)
        maps = network.apply_heads(pyramid)
    loss = distillation_loss(
        maps, outputs, box_weight=recipe.box_weight, landmark_weight=recipe.landmark_weight
    )
    return loss, hint_loss(pyramid, features, outputs)


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, recipe: DetectorRecipe, done: float
) -> None:
    # Constant until late, so that the number of epochs may be changed during a run.
    factor = min(1.0, done / recipe.warmup, (1 - done) / recipe.cooldown)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * max(factor, _MIN_RATE_FACTOR)
