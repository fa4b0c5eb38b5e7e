"""A training run on disk, so that it goes on where it was cut off. No pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from faces_jobs.errors import ModelError
from faces_jobs_models.training.run_identity import RunIdentity

FILE_NAME = "checkpoint.safetensors"
LOG_NAME = "log.jsonl"  # beside it: a line an epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    epoch: int  # epochs done
    step: int


def save_checkpoint(
    folder: Path,
    *,
    network: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    run: RunIdentity,
) -> None:
    """Write everything that the next epoch needs, beside and renamed: it is whole or absent."""
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("network", network), ("averaged", averaged)):
        for name, tensor in module.state_dict().items():
            tensors[f"{prefix}/{name}"] = tensor.contiguous().clone()
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            tensors[f"optimizer/{index}/{name}"] = torch.as_tensor(value).contiguous().clone()
    metadata = {
        "progress": json.dumps({"epoch": progress.epoch, "step": progress.step}),
        "recipe": run.recipe,
        "data": run.data,
    }
    partial = folder / (FILE_NAME + ".part")
    save_file(tensors, partial, metadata=metadata)
    os.replace(partial, folder / FILE_NAME)  # noqa: PTH105 - atomic on every system


def append_to_log(folder: Path, entry: Mapping[str, object]) -> None:
    """Add an epoch's line to the log beside the checkpoint."""
    with (folder / LOG_NAME).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def epochs_done(folder: Path) -> int:
    """How far the run in `folder` has come; 0 where there is none."""
    path = folder / FILE_NAME
    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        return _progress(file.metadata()).epoch


def check_run_matches(folder: Path, *, recipe: str, data: str | None = None) -> None:
    """Look whether the run in `folder`, where there is one, is of this recipe and this data.

    Args:
        folder: of a run.
        recipe: as in a `Run`.
        data: likewise; None where it is not known yet.

    Raises:
        ModelError: it is another one, or of a version that didn't note what it was of.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    if metadata.get("recipe") != recipe:
        other = "of another recipe"
    elif data not in (None, metadata.get("data")):
        other = "with other data"
    else:
        return
    raise ModelError(f"{folder} holds a run {other}: name another --out, or delete it.")


def load_checkpoint(
    folder: Path,
    *,
    network: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    run: RunIdentity,
) -> Progress:
    """Read it back into the given objects; a folder without one is a run at its start.

    Raises:
        ModelError: it is of another run.
    """
    check_run_matches(folder, recipe=run.recipe, data=run.data)
    path = folder / FILE_NAME
    if not path.is_file():
        return Progress(epoch=0, step=0)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        progress = _progress(file.metadata())
    for prefix, module in (("network", network), ("averaged", averaged)):
        start = f"{prefix}/"
        module.load_state_dict(
            {
                name.removeprefix(start): tensor
                for name, tensor in tensors.items()
                if name.startswith(start)
            }
        )
    if optimizer is not None:
        content = optimizer.state_dict()
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer/"):
                _, index, key = name.split("/")
                state.setdefault(int(index), {})[key] = _laid_out_as(tensor, weights[int(index)])
        content["state"] = state
        optimizer.load_state_dict(content)
    return progress


def _progress(metadata: Mapping[str, str]) -> Progress:
    return Progress(**json.loads(metadata["progress"]))


def _laid_out_as(tensor: Tensor, weight: Tensor) -> Tensor:
    # A fused optimizer goes through the memory of both side by side.
    return torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
