"""Batches of augmented training crops, in an order that depends on the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import MIRRORED_LABEL_INDICES
from faces_jobs_models.training.data.augment import augment
from faces_jobs_models.training.data.prepare import PreparedDataSet
from faces_jobs_models.training.losses import log_priors
from faces_jobs_models.training.recipes import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops as the network takes them, and head -> (n, labels) targets; all on one device."""

    crops: Tensor
    targets: Mapping[str, Tensor]


class Feed:
    """The training rows of all data sets of a recipe.

    The random numbers of an epoch depend on the seed and the epoch alone, so that a run that is
    resumed on the same kind of device gets the same batches as an uninterrupted one.
    """

    def __init__(
        self, recipe: Recipe, data_sets: Sequence[PreparedDataSet], *, device: torch.device
    ) -> None:
        """Open the rows; nothing is read or drawn yet.

        Raises:
            DataLayoutError: there is no row to train on.
        """
        self._recipe = recipe
        self._device = device
        self._heads = tuple(recipe.training_heads)
        chosen = [_training_rows(data, self._heads) for data in data_sets]
        if not sum(map(len, chosen)):
            raise DataLayoutError(
                f"{recipe.model} has nothing to train on: every face of "
                f"{' and '.join(data.name for data in data_sets)} is held out for measuring, or "
                "has no known label. docs/labelled-pictures.md says which faces are held out."
            )
        weights = [
            np.full(len(rows), recipe.data_sets[data.name])
            for data, rows in zip(data_sets, chosen, strict=True)
        ]
        self._weights = np.concatenate(weights).astype(np.float64)
        self._crops = _open_crops(data_sets, chosen, device)
        self._inside = _stack_rows([data.inside for data in data_sets], chosen).to(device)
        self._targets = {
            head: _stack_rows([data.targets[head] for data in data_sets], chosen).to(device)
            for head in self._heads
        }

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches of an epoch."""
        return max(1, round(float(self._weights.sum()) / self._recipe.batch_size))

    def priors(self) -> dict[str, Tensor]:
        """Return the log prior of each label, where rows count as often as an epoch uses them."""
        weights = torch.from_numpy(self._weights).float().to(self._device)
        return log_priors(self._targets, weights)

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, epoch))
        generator = torch.Generator(self._device).manual_seed(recipe.seed * 1009 + epoch)
        order = self._draw_rows(self.steps_per_epoch * recipe.batch_size, rng)
        for picked in np.split(order, self.steps_per_epoch):
            rows = torch.from_numpy(picked).to(self._device)
            crops, flipped = augment(
                self._crops.read(picked, rows),
                self._inside[rows],
                size=recipe.crop_size,
                options=recipe.augmentation,
                generator=generator,
            )
            targets = {head: table[rows] for head, table in self._targets.items()}
            if "pose" in targets:
                targets["pose"] = _mirror_pose(targets["pose"], flipped)
            yield Batch(crops.contiguous(memory_format=torch.channels_last), targets)

    def _draw_rows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        # Whole visits first, and only the remainder at random, so that each epoch uses every row
        # about as often as its weight says.
        weights = self._weights
        visits = np.floor(weights + rng.random(len(weights))).astype(np.int64)
        order = np.repeat(np.arange(len(weights)), visits)
        missing = count - len(order)
        if missing > 0:
            extra = rng.choice(len(weights), size=missing, p=weights / weights.sum())
            order = np.concatenate([order, extra])
        return rng.permutation(order)[:count]


@dataclass(frozen=True, slots=True, eq=False)
class _CropsOnDisk:
    """Memory-mapped crops, read batch by batch."""

    data_sets: Sequence[PreparedDataSet]
    sets: NDArray[np.int64]  # (rows,) index of the data set
    rows: NDArray[np.int64]  # (rows,) index within the data set

    def read(self, picked: NDArray[np.int64], _: Tensor) -> Tensor:
        crops = np.empty((len(picked), *self.data_sets[0].crops.shape[1:]), np.uint8)
        for index, data in enumerate(self.data_sets):
            here = self.sets[picked] == index
            crops[here] = data.crops[self.rows[picked][here]]
        return torch.from_numpy(crops)


@dataclass(frozen=True, slots=True, eq=False)
class _CropsOnDevice:
    """All crops in the memory of a GPU."""

    crops: Tensor  # (rows, side, side, channels) uint8

    def read(self, _: NDArray[np.int64], rows: Tensor) -> Tensor:
        return self.crops[rows]


def _open_crops(
    data_sets: Sequence[PreparedDataSet],
    chosen: Sequence[NDArray[np.int64]],
    device: torch.device,
) -> _CropsOnDisk | _CropsOnDevice:
    if device.type == "cpu":
        sets = [np.full(len(rows), index) for index, rows in enumerate(chosen)]
        return _CropsOnDisk(data_sets, np.concatenate(sets), np.concatenate(chosen))
    return _CropsOnDevice(
        torch.cat(
            [
                torch.from_numpy(np.asarray(data.crops[rows])).to(device)
                for data, rows in zip(data_sets, chosen, strict=True)
            ]
        )
    )


def _training_rows(data: PreparedDataSet, heads: Sequence[str]) -> NDArray[np.int64]:
    # Those that are not held out and have a target of at least one head.
    known = np.zeros(len(data.held_out), bool)
    for head in heads:
        known |= data.targets[head].sum(axis=1) > 0
    return np.nonzero(known & ~data.held_out)[0]


def _stack_rows(
    arrays: Sequence[NDArray[np.float32]], chosen: Sequence[NDArray[np.int64]]
) -> Tensor:
    picked = [array[rows] for array, rows in zip(arrays, chosen, strict=True)]
    return torch.from_numpy(np.concatenate(picked).astype(np.float32, copy=False))


def _mirror_pose(target: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None], target[:, list(MIRRORED_LABEL_INDICES["pose"])], target)
