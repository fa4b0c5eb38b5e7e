"""One training from labelled pictures to a model's folder: prepare, train, export, draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.stages import Detector
from faces_jobs_models.device import Device
from faces_jobs_models.training.checkpoint import LOG_NAME, epochs_done
from faces_jobs_models.training.cross_fit import cross_fitted
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.folds import fold_of
from faces_jobs_models.training.held_out import Heads
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.loop import Report
from faces_jobs_models.training.measurement_plots import draw_head
from faces_jobs_models.training.plots import draw_curves
from faces_jobs_models.training.prepare import PreparedDataSet, prepare
from faces_jobs_models.training.quantize import calibration_batches
from faces_jobs_models.training.readers import open_data
from faces_jobs_models.training.recipes import RECIPES, Recipe, with_fer2013_labels
from faces_jobs_models.training.temperature import with_temperature
from faces_jobs_models.training.train import TEACHER, TrainingResult, check_runs_match, train

EXPORT_NAME = "export"


def recipe_for(
    model: str, labels: LabelChoice, *, epochs: int | None = None, without_teacher: bool = False
) -> Recipe:
    """The model's recipe.

    Args:
        model: which.
        labels: with `fer2013` those take the place of the votes of FER+; only expression learns
            from either.
        epochs: in place of what the recipe says for the network that ships.
        without_teacher: without a teacher, who takes most of the time.
    """
    recipe = RECIPES[model]
    if labels == "fer2013":
        recipe = with_fer2013_labels(recipe)
    if without_teacher:
        recipe = replace(recipe, distillation=None)
    return recipe if epochs is None else replace(recipe, epochs=epochs)


def run_recipe(
    recipe: Recipe,
    data: Path,
    *,
    labels: LabelChoice,
    out: Path,
    device: Device,
    threads: int,
    detector: Detector,
    report: Report,
    on_progress: Callable[[int], None],
) -> Path:
    """Train by a recipe, or go on with the training that `out` holds.

    Args:
        recipe: what to do.
        data: folder (or file) with the data sets that the recipe names, in any known layout.
        labels: which to use where a set has both.
        out: gets `prepared` (crops, shared by all models) and `MODEL` with checkpoint, log,
            pictures and `export`.
        device: where networks are trained.
        detector: the run-time one, which finds the faces to cut.
        threads: cores that torch may use.
        report: takes one line an epoch, and one for each reason why rows were left out.
        on_progress: takes the number of epochs done, the teacher's and those of earlier calls included.

    Returns:
        The model's folder, `out/MODEL/export`.

    Raises:
        DataLayoutError: a data set of the recipe is not there.
        ModelError: `out` holds a run of another recipe or with other data.
    """
    torch.set_num_threads(threads)
    folder = out / (recipe.model if labels == "ferplus" else f"{recipe.model}-{labels}")
    check_runs_match(recipe, folder)  # before anything is cut, which takes minutes
    data_sets = _prepared(recipe, data, labels=labels, out=out, detector=detector, report=report)

    def done() -> int:
        return epochs_done(folder) + epochs_done(folder / TEACHER)

    def after_an_epoch(line: str) -> None:
        report(line)
        on_progress(done())

    if before := done():
        report(f"{recipe.model}: going on after epoch {before} of {recipe.total_epochs}")
        on_progress(before)
    trained = train(
        recipe, data_sets, out=folder, device=torch.device(device), report=after_an_epoch
    )
    draw_curves(folder / "curves.png", folder / LOG_NAME)
    examples = calibration_batches(data_sets, crop_size=recipe.crop_size)
    export = export_model(recipe, trained, examples=examples, out=folder / EXPORT_NAME)
    _draw_held_out(trained, recipe.heads, folder)
    return export


def _prepared(
    recipe: Recipe,
    data: Path,
    *,
    labels: LabelChoice,
    out: Path,
    detector: Detector,
    report: Report,
) -> list[PreparedDataSet]:
    skipped: Counter[str] = Counter()
    found = {one.name: one for one in open_data(data, labels=labels, skipped=skipped)}
    missing = [name for name in recipe.data_sets if name not in found]
    if missing:
        raise DataLayoutError(
            f"The recipe of {recipe.model} learns from {', '.join(recipe.data_sets)}; in {data} "
            f"there is no {' and no '.join(missing)} (found: {', '.join(found) or 'nothing'})."
        )
    prepared = [
        prepare(
            found[name],
            out=out / "prepared",
            detector=detector,
            crop_scale=recipe.crop_scale,
            crop_size=recipe.crop_size,
            gray=recipe.gray,
            skipped=skipped,
            report=report,
        )
        for name in recipe.data_sets
    ]
    for reason, count in skipped.items():
        if count:
            report(f"left out: {count} x {reason}")
    return prepared


def _draw_held_out(trained: TrainingResult, heads: Heads, folder: Path) -> None:
    for one in trained.held_out:
        for head, labels in heads.items():
            calibration = trained.calibration[head]
            draw_head(
                folder,
                head=head,
                data_set=one.data_set,
                labels=labels,
                truth=one.truth[head],
                probabilities=with_temperature(one.views[head], calibration.temperature),
                measured=cross_fitted(
                    one.views[head],
                    one.truth[head],
                    fold_of(one.group),
                    calibration,
                    temperature=1.0,
                ),
                unsure_below=calibration.unsure_below,
            )
