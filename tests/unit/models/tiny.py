"""Recipes and crops for trainings of about a second: small networks, drawn faces."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from faces_jobs_models.catalog import Catalog
from faces_jobs_models.residual import BodyConfig
from faces_jobs_models.training.data.prepare import PreparedDataSet, prepare
from faces_jobs_models.training.readers import open_data
from faces_jobs_models.training.recipes import RECIPES, Distillation, Recipe

TINY = BodyConfig(stem=8, widths=(8, 8, 16), blocks=(1, 1, 1))


def tiny(model: str) -> Recipe:
    """Return the model's recipe with tiny networks, one epoch of the teacher and two of its own."""
    recipe = RECIPES[model]
    body = replace(TINY, in_channels=recipe.body.in_channels)
    distillation = Distillation(body=TINY, epochs=1)
    return replace(recipe, body=body, epochs=2, batch_size=16, distillation=distillation)


def prepared(recipe: Recipe, data: Path, out: Path, catalog: Catalog) -> list[PreparedDataSet]:
    """Crop the recipe's data sets."""
    sets = {one.name: one for one in open_data(data, skipped=Counter())}
    return [
        prepare(
            sets[name],
            out=out,
            detector=catalog.detector(),
            crop_scale=recipe.crop_scale,
            crop_size=recipe.crop_size,
            gray=recipe.gray,
        )
        for name in recipe.data_sets
    ]
