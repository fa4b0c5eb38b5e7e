"""Runs a classifier's recipe from labelled pictures to a model folder: crop, train, export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.protocols import Detector
from faces_jobs_models.device import Device
from faces_jobs_models.training.checkpoint import LOG_NAME, epochs_done
from faces_jobs_models.training.data.prepare import PreparedDataSet, prepare
from faces_jobs_models.training.evaluation.cross_fit import cross_fitted
from faces_jobs_models.training.evaluation.folds import fold_of
from faces_jobs_models.training.evaluation.held_out import Heads
from faces_jobs_models.training.evaluation.measurement_plots import draw_head
from faces_jobs_models.training.evaluation.plots import draw_curves
from faces_jobs_models.training.evaluation.temperature import with_temperature
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.loop import Report
from faces_jobs_models.training.quantize import calibration_batches
from faces_jobs_models.training.readers import describe_skipped, open_data
from faces_jobs_models.training.recipes import RECIPES, Recipe, with_fer2013_labels
from faces_jobs_models.training.train import TEACHER, TrainingResult, check_runs_match, train

EXPORT_NAME = "export"


def recipe_for(
    model: str, labels: LabelChoice, *, epochs: int | None = None, without_teacher: bool = False
) -> Recipe:
    """Return the model's recipe, with overrides.

    Args:
        model: name of the model.
        labels: `fer2013` replaces the votes of FER+ by those labels; it makes no difference to
            models other than expression.
        epochs: overrides the recipe's number of epochs, except that of the teacher.
        without_teacher: skip distillation; training the teacher takes most of the time.
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
    """Train a model by its recipe, or resume the run in `out`.

    Args:
        recipe: of the model.
        data: folder (or file) with the data sets that the recipe names, in any known layout.
        labels: which ones to use from a data set that has both.
        out: gets `prepared` (crops, shared by all models) and `MODEL` with checkpoint, log,
            plots and `export`.
        device: where networks are trained.
        detector: the run-time detector, which finds the faces to crop.
        threads: number of cores that torch may use.
        report: called with a line of text for each epoch, and for each reason why rows were
            left out.
        on_progress: called with the number of completed epochs, including those of the teacher and
            of earlier calls.

    Returns:
        The model folder, `out/MODEL/export`.

    Raises:
        DataLayoutError: a data set of the recipe is missing.
        ModelError: `out` holds a run of another recipe or with other data.
    """
    torch.set_num_threads(threads)
    folder = out / (recipe.model if labels == "ferplus" else f"{recipe.model}-{labels}")
    check_runs_match(recipe, folder)  # before faces are cropped, which takes minutes
    data_sets = _prepare_all(recipe, data, labels=labels, out=out, detector=detector, report=report)

    def total_epochs_done() -> int:
        return epochs_done(folder) + epochs_done(folder / TEACHER)

    def report_epoch(line: str) -> None:
        report(line)
        on_progress(total_epochs_done())

    if done := total_epochs_done():
        report(f"{recipe.model}: resuming after epoch {done} of {recipe.total_epochs}")
        on_progress(done)
    result = train(recipe, data_sets, out=folder, device=torch.device(device), report=report_epoch)
    draw_curves(folder / "curves.png", folder / LOG_NAME)
    examples = calibration_batches(data_sets, crop_size=recipe.crop_size)
    export = export_model(recipe, result, examples=examples, out=folder / EXPORT_NAME)
    _draw_held_out(result, recipe.heads, folder)
    return export


def _prepare_all(
    recipe: Recipe,
    data: Path,
    *,
    labels: LabelChoice,
    out: Path,
    detector: Detector,
    report: Report,
) -> list[PreparedDataSet]:
    skipped: Counter[str] = Counter()
    found = {
        data_set.name: data_set for data_set in open_data(data, labels=labels, skipped=skipped)
    }
    missing = [name for name in recipe.data_sets if name not in found]
    if missing:
        raise DataLayoutError(
            f"The recipe of {recipe.model} needs the data sets {', '.join(recipe.data_sets)}; "
            f"{data} lacks {', '.join(missing)} (found: {', '.join(found) or 'nothing'})."
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
    for line in describe_skipped(skipped):
        report(line)
    return prepared


def _draw_held_out(result: TrainingResult, heads: Heads, folder: Path) -> None:
    for predictions in result.held_out:
        for head, labels in heads.items():
            calibration = result.calibration[head]
            draw_head(
                folder,
                head=head,
                data_set=predictions.data_set,
                labels=labels,
                truth=predictions.truth[head],
                probabilities=with_temperature(predictions.views[head], calibration.temperature),
                cross_fitted=cross_fitted(
                    predictions.views[head],
                    predictions.truth[head],
                    fold_of(predictions.group),
                    calibration,
                    temperature=1.0,
                ),
                unsure_below=calibration.unsure_below,
            )
