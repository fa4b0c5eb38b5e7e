"""Feeds a training: which rows an epoch sees, in which order, changed how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs.jobs.labels import MIRRORED
from faces_jobs_models.training.augment import augment
from faces_jobs_models.training.losses import log_priors
from faces_jobs_models.training.prepare import PreparedDataSet
from faces_jobs_models.training.recipes import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops as the network takes them, and head -> (n, labels) to learn; all on one device."""

    crops: Tensor
    targets: Mapping[str, Tensor]


class Feed:
    """The training rows of all data sets of a recipe.

    Each epoch draws its random numbers from the seed and its own number, so that a run which
    was cut off and resumed on the same kind of device sees what an unbroken one sees.
    """

    def __init__(
        self, recipe: Recipe, data_sets: Sequence[PreparedDataSet], *, device: torch.device
    ) -> None:
        self._recipe = recipe
        self._device = device
        self._heads = tuple(recipe.training_heads)
        chosen = [_rows_that_teach(data, self._heads) for data in data_sets]
        weights = [
            np.full(len(rows), recipe.data_sets[data.name])
            for data, rows in zip(data_sets, chosen, strict=True)
        ]
        self._weights = np.concatenate(weights).astype(np.float64)
        self._crops = _crops_of(data_sets, chosen, device)
        self._inside = _table([data.inside for data in data_sets], chosen).to(device)
        self._targets = {
            head: _table([data.targets[head] for data in data_sets], chosen).to(device)
            for head in self._heads
        }

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch."""
        return max(1, round(float(self._weights.sum()) / self._recipe.batch_size))

    def priors(self) -> dict[str, Tensor]:
        """Logarithm of each label's share, as often as its rows are seen."""
        weights = torch.from_numpy(self._weights).float().to(self._device)
        return log_priors(self._targets, weights)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch."""
        recipe = self._recipe
        chance = np.random.default_rng((recipe.seed, number))
        random = torch.Generator(self._device).manual_seed(recipe.seed * 1009 + number)
        order = self._draw(self.steps_per_epoch * recipe.batch_size, chance)
        for picked in np.split(order, self.steps_per_epoch):
            rows = torch.from_numpy(picked).to(self._device)
            changed, flipped = augment(
                self._crops.of(picked, rows),
                self._inside[rows],
                size=recipe.crop_size,
                how=recipe.augmentation,
                random=random,
            )
            targets = {head: table[rows] for head, table in self._targets.items()}
            if "pose" in targets:
                targets["pose"] = _mirror_pose(targets["pose"], flipped)
            yield Batch(changed.contiguous(memory_format=torch.channels_last), targets)

    def _draw(self, count: int, chance: np.random.Generator) -> NDArray[np.int64]:
        # Whole numbers of visits first, then a lottery: no row waits long for its turn.
        weights = self._weights
        visits = np.floor(weights + chance.random(len(weights))).astype(np.int64)
        order = np.repeat(np.arange(len(weights)), visits)
        missing = count - len(order)
        if missing > 0:
            extra = chance.choice(len(weights), size=missing, p=weights / weights.sum())
            order = np.concatenate([order, extra])
        return chance.permutation(order)[:count]


@dataclass(frozen=True, slots=True, eq=False)
class _MappedCrops:
    """Crops that stay on the disk until their turn comes."""

    data_sets: Sequence[PreparedDataSet]
    sets: NDArray[np.int64]  # (rows,) which data set
    rows: NDArray[np.int64]  # (rows,) where in it

    def of(self, picked: NDArray[np.int64], _: Tensor) -> Tensor:
        crops = np.empty((len(picked), *self.data_sets[0].crops.shape[1:]), np.uint8)
        for index, data in enumerate(self.data_sets):
            here = self.sets[picked] == index
            crops[here] = data.crops[self.rows[picked][here]]
        return torch.from_numpy(crops)


@dataclass(frozen=True, slots=True, eq=False)
class _HeldCrops:
    """Crops that lie in the memory of a GPU, which has room for all."""

    crops: Tensor  # (rows, side, side, channels) uint8

    def of(self, _: NDArray[np.int64], rows: Tensor) -> Tensor:
        return self.crops[rows]


def _crops_of(
    data_sets: Sequence[PreparedDataSet], chosen: Sequence[NDArray[np.int64]], device: torch.device
) -> _MappedCrops | _HeldCrops:
    if device.type == "cpu":
        sets = [np.full(len(rows), index) for index, rows in enumerate(chosen)]
        return _MappedCrops(data_sets, np.concatenate(sets), np.concatenate(chosen))
    return _HeldCrops(
        torch.cat(
            [
                torch.from_numpy(np.asarray(data.crops[rows])).to(device)
                for data, rows in zip(data_sets, chosen, strict=True)
            ]
        )
    )


def _rows_that_teach(data: PreparedDataSet, heads: Sequence[str]) -> NDArray[np.int64]:
    known = np.zeros(len(data.held_out), bool)
    for head in heads:
        known |= data.targets[head].sum(axis=1) > 0
    return np.nonzero(known & ~data.held_out)[0]


def _table(arrays: Sequence[NDArray[np.float32]], chosen: Sequence[NDArray[np.int64]]) -> Tensor:
    picked = [array[rows] for array, rows in zip(arrays, chosen, strict=True)]
    return torch.from_numpy(np.concatenate(picked).astype(np.float32, copy=False))


def _mirror_pose(target: Tensor, flipped: Tensor) -> Tensor:
    return torch.where(flipped[:, None], target[:, list(MIRRORED["pose"])], target)
