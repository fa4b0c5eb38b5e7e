"""Batches for the detector's training: scenes with the teacher's outputs for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Scenes
from faces_jobs_models.training.detector.teacher import Teacher

_PREFETCHED = 16  # batches per worker


class Batch(NamedTuple):
    """The scenes of a step, all of one size, and the teacher's outputs and features for them."""

    pictures: NDArray[np.uint8]  # (n, side, side, 3) BGR
    outputs: tuple[NDArray[np.float32], ...]
    features: tuple[NDArray[np.float16], ...]


class _Steps(Dataset[Batch]):
    def __init__(self, recipe: DetectorRecipe, scenes: Scenes, teacher: Teacher) -> None:
        self._recipe = recipe
        self._scenes = scenes
        self._teacher = teacher

    def __getitem__(self, step: int) -> Batch:
        recipe = self._recipe
        # By seed and step alone, so that a resumed run gets the batches of an uninterrupted one.
        rng = np.random.default_rng((recipe.seed, step))
        sides, shares = zip(*recipe.sides.items(), strict=True)
        side = int(rng.choice(sides, p=shares))
        count = max(1, round(recipe.batch_size * (recipe.smallest_side / side) ** 2))
        scenes = [self._scenes.draw(rng, side) for _ in range(count)]
        targets = self._teacher.predict(scenes)
        pictures = np.stack([one.picture for one in scenes])
        return Batch(pictures, targets.outputs, targets.features)


def batches(
    recipe: DetectorRecipe,
    scenes: Scenes,
    teacher: Teacher,
    *,
    first: int,
    end: int,
    workers: int,
) -> Iterator[Batch]:
    """Iterate over the batches of the steps from `first` to `end`.

    They are made in advance by that many `workers`, or, with 0, in this process.
    """
    loader = DataLoader(
        _Steps(recipe, scenes, teacher),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        prefetch_factor=_PREFETCHED if workers else None,
        collate_fn=_identity,
    )
    return iter(loader)


def _identity(batch: Any) -> Any:
    return batch
