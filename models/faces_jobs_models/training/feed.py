"""Feeds a training: which rows an epoch sees, in which order, changed how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.augment import augment
from faces_jobs_models.training.losses import log_priors
from faces_jobs_models.training.prepare import Prepared
from faces_jobs_models.training.recipes import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Crops as the network takes them, and head -> (n, labels) to learn."""

    crops: Tensor
    targets: Mapping[str, Tensor]


class Feed:
    """The training rows of all data sets of a recipe.

    Each epoch draws its random numbers from the seed and its own number, so that a run which
    was cut off and resumed sees what an unbroken one sees.
    """

    def __init__(self, recipe: Recipe, data_sets: Sequence[Prepared]) -> None:
        self._recipe = recipe
        self._data_sets = data_sets
        self._heads = tuple(recipe.training_heads)
        sets, rows, weights = [], [], []
        for index, data in enumerate(data_sets):
            known = np.zeros(len(data.held_out), bool)
            for head in self._heads:
                known |= data.targets[head].sum(axis=1) > 0
            chosen = np.nonzero(known & ~data.held_out)[0]
            sets.append(np.full(len(chosen), index))
            rows.append(chosen)
            weights.append(np.full(len(chosen), recipe.data_sets[data.name]))
        self._sets = np.concatenate(sets)
        self._rows = np.concatenate(rows)
        self._weights = np.concatenate(weights).astype(np.float64)

    @property
    def steps_an_epoch(self) -> int:
        """Batches of one epoch."""
        return max(1, round(float(self._weights.sum()) / self._recipe.batch))

    def priors(self) -> dict[str, Tensor]:
        """Logarithm of each label's share, as often as its rows are seen."""
        every = np.arange(len(self._rows))
        targets = {head: self._targets(every, head) for head in self._heads}
        return log_priors(targets, torch.from_numpy(self._weights).float())

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch."""
        recipe = self._recipe
        chance = np.random.default_rng((recipe.seed, number))
        random = torch.Generator().manual_seed(recipe.seed * 1009 + number)
        order = self._draw(self.steps_an_epoch * recipe.batch, chance)
        for picked in np.split(order, self.steps_an_epoch):
            crops, inside = self._pictures(picked)
            changed, flipped = augment(
                crops, inside, size=recipe.crop_size, how=recipe.augmentation, random=random
            )
            targets = {head: self._targets(picked, head) for head in self._heads}
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

    def _pictures(self, picked: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        crops = np.empty((len(picked), *self._data_sets[0].crops.shape[1:]), np.uint8)
        inside = np.empty((len(picked), 4), np.float32)
        for index, data in enumerate(self._data_sets):
            here = self._sets[picked] == index
            rows = self._rows[picked][here]
            crops[here] = data.crops[rows]
            inside[here] = data.inside[rows]
        return torch.from_numpy(crops), torch.from_numpy(inside)

    def _targets(self, picked: NDArray[np.int64], head: str) -> Tensor:
        target = np.zeros((len(picked), len(HEADS[head])), np.float32)
        for index, data in enumerate(self._data_sets):
            here = self._sets[picked] == index
            target[here] = data.targets[head][self._rows[picked][here]]
        return torch.from_numpy(target)


def _mirror_pose(target: Tensor, flipped: Tensor) -> Tensor:
    left, right = HEADS["pose"].index("left"), HEADS["pose"].index("right")
    mirrored = target.clone()
    mirrored[:, [left, right]] = target[:, [right, left]]
    return torch.where(flipped[:, None], mirrored, target)
