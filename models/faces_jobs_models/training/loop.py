"""The training loop: epochs, learning rate schedule, averaged weights, checkpoints and log."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.networks import build_network
from faces_jobs_models.training.averaging import update_average
from faces_jobs_models.training.checkpoint import (
    Progress,
    append_to_log,
    load_checkpoint,
    save_checkpoint,
)
from faces_jobs_models.training.data.prepare import PreparedDataSet
from faces_jobs_models.training.evaluation.held_out import (
    HeldOutFigures,
    figures_of_held_out,
    predict_held_out,
)
from faces_jobs_models.training.feed import Feed
from faces_jobs_models.training.half_precision import has_fast_bfloat16
from faces_jobs_models.training.losses import distillation_loss, multi_task_loss
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.run_identity import RunIdentity, hash_of, hash_of_recipe
from faces_jobs_models.training.step import LossFunction, make_train_step

_EVALUATIONS = 6  # during a run, about
_MIN_RATE_FACTOR = 1e-3  # of the recipe's learning rate

Report = Callable[[str], None]


def run_epochs(
    recipe: Recipe,
    feed: Feed,
    data_sets: Sequence[PreparedDataSet],
    *,
    out: Path,
    device: torch.device,
    teacher: AttributeNetwork | None,
    report: Report,
) -> AttributeNetwork:
    """Train, or resume the run in `out`, and return the averaged network.

    Args:
        recipe: of the network.
        feed: the batches, on the same device.
        data_sets: their held-out faces are evaluated a few times, for the log only: no checkpoint
            is selected by the figures, the last averaged weights are the result.
        out: folder of checkpoint and log.
        device: where to train.
        teacher: for distillation, if the recipe has one; on the same device, with the same heads.
        report: called with a line of text for each epoch.

    Raises:
        ModelError: the run in `out` is of another recipe or other data.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.training_heads, recipe.network)
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lags
    averaged = copy.deepcopy(network)
    optimizer = _optimizer(network, recipe, device)
    loss_function = _loss_function(network, recipe, feed.priors(), teacher)
    train_step = make_train_step(network, optimizer, loss_function, device=device)
    run = RunIdentity(hash_of_recipe(recipe), hash_of(data.content for data in data_sets))
    progress = load_checkpoint(
        out, network=network, averaged=averaged, optimizer=optimizer, run=run
    )
    total_steps = feed.steps_per_epoch * recipe.epochs
    step = progress.step
    evaluate_every = max(3, recipe.epochs // _EVALUATIONS)
    for epoch in range(progress.epoch, recipe.epochs):
        started = time.monotonic()
        network.train()
        torch.manual_seed(recipe.seed + epoch)  # for dropout
        losses = []
        for batch in feed.batches(epoch):
            _set_learning_rate(optimizer, recipe, step / total_steps)
            losses.append(train_step(batch))
            step += 1
            update_average(averaged, network, decay=recipe.ema_decay, step=step)
        mean_loss = float(torch.stack(losses).mean())
        progress = Progress(epoch=epoch + 1, step=step)
        save_checkpoint(
            out, network=network, averaged=averaged, optimizer=optimizer, progress=progress, run=run
        )
        is_evaluated = (epoch + 1) % evaluate_every == 0 and epoch + 1 < recipe.epochs
        figures = _evaluate(recipe, averaged, data_sets) if is_evaluated else []
        seconds = time.monotonic() - started
        _log(out, epoch + 1, mean_loss, seconds, figures)
        report(_progress_line(recipe, epoch + 1, mean_loss, seconds, figures))
    return averaged


def _evaluate(
    recipe: Recipe, network: AttributeNetwork, data_sets: Sequence[PreparedDataSet]
) -> list[HeldOutFigures]:
    held_out = predict_held_out(network, recipe.heads, data_sets, crop_size=recipe.crop_size)
    return figures_of_held_out(recipe.heads, held_out)


def _loss_function(
    network: AttributeNetwork,
    recipe: Recipe,
    priors: Mapping[str, Tensor],
    teacher: AttributeNetwork | None,
) -> LossFunction:
    head_weights = {**recipe.head_weights, **recipe.auxiliary}

    def logits_of(model: AttributeNetwork, crops: Tensor) -> dict[str, Tensor]:
        # Half precision gives averaged weights of the same quality. The cache of cast weights
        # is off: each weight is used once a step, and a CUDA graph must cast it in each replay.
        with torch.autocast(
            crops.device.type,
            dtype=torch.bfloat16,
            enabled=has_fast_bfloat16(crops.device),
            cache_enabled=False,
        ):
            logits = model.logits(crops)
        return {head: values.float() for head, values in logits.items()}

    def loss_of(crops: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        logits = logits_of(network, crops)
        loss = multi_task_loss(
            logits,
            targets,
            priors=priors,
            logit_adjustment=recipe.logit_adjustment,
            head_weights=head_weights,
            label_smoothing=recipe.label_smoothing,
        )
        if recipe.distillation is None or teacher is None:
            return loss
        with torch.no_grad():
            teacher_logits = logits_of(teacher, crops)
        from_teacher = distillation_loss(
            logits,
            teacher_logits,
            head_weights=head_weights,
            temperature=recipe.distillation.temperature,
        )
        return torch.lerp(loss, from_teacher, recipe.distillation.share)

    return loss_of


def _optimizer(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    in_cuda_graph = device.type == "cuda"  # whose replay reads the learning rate from the device
    rate = recipe.learning_rate
    return torch.optim.AdamW(
        _parameter_groups(network, recipe.weight_decay),
        lr=torch.tensor(rate, device=device) if in_cuda_graph else rate,
        betas=(0.9, 0.99),
        fused=True,
        capturable=in_cuda_graph,
    )


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    # No weight decay for norms and biases.
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, done: float) -> None:
    # Linear warmup, then cosine decay; `done` is the share of all steps that are done.
    if done < recipe.warmup:
        factor = done / recipe.warmup
    else:
        factor = 0.5 * (1 + math.cos(math.pi * (done - recipe.warmup) / (1 - recipe.warmup)))
    rate = recipe.learning_rate * max(factor, _MIN_RATE_FACTOR)
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _log(
    out: Path, epoch: int, loss: float, seconds: float, figures: Sequence[HeldOutFigures]
) -> None:
    entry = {
        "epoch": epoch,
        "loss": loss,
        "seconds": round(seconds, 1),
        "figures": [
            {"head": one.head, "data_set": one.data_set, **asdict(one.figures)} for one in figures
        ],
    }
    append_to_log(out, entry)


def _progress_line(
    recipe: Recipe, epoch: int, loss: float, seconds: float, figures: Sequence[HeldOutFigures]
) -> str:
    shown = "  ".join(
        f"{one.head}/{one.data_set} {one.figures.accuracy:.1%} "
        f"balanced {one.figures.balanced_accuracy:.1%}"
        for one in figures
    )
    return f"{recipe.name} {epoch}/{recipe.epochs} loss {loss:.4f} {seconds:.1f} s  {shown}"
