"""Checkpoint and log of a training run, by which it can be resumed. Safetensors, no pickle."""

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
LOG_NAME = "log.jsonl"  # in the same folder, one line per epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """Numbers of completed epochs and steps."""

    epoch: int
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
    """Write the checkpoint atomically: under another name first, which is then renamed."""
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
    """Append an epoch's line to the log in the folder of the checkpoint."""
    with (folder / LOG_NAME).open("a") as file:
        file.write(json.dumps(entry) + "\n")


def epochs_done(folder: Path) -> int:
    """Return the number of completed epochs of the run in `folder`; 0 if there is none."""
    path = folder / FILE_NAME
    if not path.is_file():
        return 0
    with safe_open(path, framework="pt") as file:
        return _read_progress(file.metadata()).epoch


def check_run_matches(folder: Path, *, recipe: str, data: str | None = None) -> None:
    """Check that the run in `folder`, if there is one, is of this recipe and this data.

    Args:
        folder: of the run.
        recipe: hash, as in a `RunIdentity`.
        data: the same; None where it is not known yet, so that it is not compared.

    Raises:
        ModelError: the run is of another recipe or other data, or of a version that did not store
            these hashes.
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
    raise ModelError(f"{folder} holds a run {other}: choose another --out, or delete it.")


def load_checkpoint(
    folder: Path,
    *,
    network: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    run: RunIdentity,
) -> Progress:
    """Load the checkpoint in `folder` into the given objects, and return its progress.

    Without a checkpoint the objects are left as they are, and the progress is 0.

    Raises:
        ModelError: the checkpoint is of another recipe or other data.
    """
    check_run_matches(folder, recipe=run.recipe, data=run.data)
    path = folder / FILE_NAME
    if not path.is_file():
        return Progress(epoch=0, step=0)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        progress = _read_progress(file.metadata())
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
                state.setdefault(int(index), {})[key] = _in_layout_of(weights[int(index)], tensor)
        content["state"] = state
        optimizer.load_state_dict(content)
    return progress


def _read_progress(metadata: Mapping[str, str]) -> Progress:
    return Progress(**json.loads(metadata["progress"]))


def _in_layout_of(weight: Tensor, tensor: Tensor) -> Tensor:
    # A fused optimizer iterates over the memory of weight and state in parallel, so that both must
    # have the same strides (channels last).
    return torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
