"""Feeds the detector's training: each step's scenes and the teacher's answers, drawn beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from faces_jobs_models.training.detector.recipe import DetectorRecipe
from faces_jobs_models.training.detector.scenes import Scenes
from faces_jobs_models.training.detector.teacher import Teacher


class Batch(NamedTuple):
    """What one step learns from: scenes of one size, and the teacher's answers to them."""

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
        # From the seed and the step alone: a run that is resumed sees what an unbroken one sees.
        rng = np.random.default_rng((recipe.seed, step))
        sides, shares = zip(*recipe.sides.items(), strict=True)
        side = int(rng.choice(sides, p=shares))
        count = max(1, round(recipe.batch_size * (recipe.smallest_side / side) ** 2))
        scenes = [self._scenes.draw(rng, side) for _ in range(count)]
        answers = self._teacher.predict(scenes)
        pictures = np.stack([one.picture for one in scenes])
        return Batch(pictures, answers.outputs, answers.features)


def batches(
    recipe: DetectorRecipe,
    scenes: Scenes,
    teacher: Teacher,
    *,
    first: int,
    end: int,
    workers: int,
) -> Iterator[Batch]:
    """The batches of the steps from `first` to `end`.

    With `workers` other processes draw ahead; with 0 they are drawn here.
    """
    loader = DataLoader(
        _Steps(recipe, scenes, teacher),
        batch_size=None,
        sampler=range(first, end),
        num_workers=workers,
        prefetch_factor=16 if workers else None,
        collate_fn=_as_it_is,
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch
