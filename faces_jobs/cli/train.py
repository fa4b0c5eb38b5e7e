"""`faces-jobs train`: train a model on labelled pictures, by its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click
from rich.progress import Progress, TaskID

from faces_jobs.cli.data_folder import make_data_folder
from faces_jobs.cli.extras import report_missing_packages
from faces_jobs.cli.training_options import (
    DETECTOR,
    check_labels_option,
    data_option,
    detector_option,
    labels_option,
    progress_bar,
)
from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName, Settings
from faces_jobs_models.device import WantedDevice, choose_device
from faces_jobs_models.training.label_choice import LabelChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The arguments of `faces-jobs train`."""

    model: str
    data: Path
    out: Path | None
    epochs: int | None
    labels: LabelChoice
    detector: DetectorName | None
    teacher: Path | None
    alone: bool
    device: WantedDevice
    threads: int


@click.command()
@click.argument("model", type=click.Choice([*MODELS, DETECTOR]))
@data_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Folder for crops, checkpoints, log, plots and weights. Default: `training` in the data "
    "folder.",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="Number of epochs. Default: the recipe's."
)
@labels_option
@detector_option
@click.option(
    "--teacher",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For the detector: ONNX file of its teacher network, such as the official YuNet "
    "(`faces-jobs models fetch yunet`).",
)
@click.option(
    "--alone",
    is_flag=True,
    help="Do not train the recipe's larger teacher network first, which takes a day on a CPU.",
)
@click.option(
    "--device",
    type=click.Choice(get_args(WantedDevice)),
    default="auto",
    show_default=True,
    help="Device to train on.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="CPU threads to use. More than one helps only if nothing else is running.",
)
@click.pass_obj
def train(settings: Settings, /, **arguments: Any) -> None:
    """Train MODEL by its recipe.

    Training takes hours, or minutes on a GPU. A checkpoint is written after each epoch; if
    interrupted, the same command resumes from the last one. At the end, prints the folder with the
    weights, which can be copied into the folder that FACES_JOBS_MODELS_FOLDER names.
    """
    options = TrainOptions(**arguments)
    _check_options(options)
    if options.out is None:
        make_data_folder(settings)
    with report_missing_packages(), _epochs_bar(options.model) as bar:
        if options.teacher is None:
            folder = _train_classifier(options, settings, bar)
        else:
            folder = _train_detector(options, options.teacher, settings, bar)
    click.echo(folder)


def _check_options(options: TrainOptions) -> None:
    if (options.teacher is not None) != (options.model == DETECTOR):
        raise click.UsageError("The detector needs --teacher; other models don't take it.")
    check_labels_option(options.model, options.labels)
    if options.model == DETECTOR and (options.alone or options.detector is not None):
        raise click.UsageError(
            f"{'--alone' if options.alone else '--detector'} is for the other models: the detector "
            "learns from its --teacher only."
        )


def _train_detector(
    options: TrainOptions, teacher: Path, settings: Settings, bar: EpochsBar
) -> Path:
    from faces_jobs_models.training.detector.recipe import RECIPE
    from faces_jobs_models.training.detector.run_recipe import run_detector_recipe

    recipe = replace(RECIPE, epochs=options.epochs or RECIPE.epochs)
    bar.set_total(recipe.epochs)
    return run_detector_recipe(
        recipe,
        options.data,
        teacher=teacher,
        out=options.out or settings.data_folder / "training",
        device=choose_device(options.device),
        threads=options.threads,
        report=bar.print,
        on_progress=bar.advance,
    )


def _train_classifier(options: TrainOptions, settings: Settings, bar: EpochsBar) -> Path:
    from faces_jobs_models.catalog import open_catalog
    from faces_jobs_models.training.run_recipe import recipe_for, run_recipe

    recipe = recipe_for(
        options.model, options.labels, epochs=options.epochs, without_teacher=options.alone
    )
    bar.set_total(recipe.total_epochs)
    with open_catalog(
        device=options.device,
        models_folder=settings.models_folder,
        threads=options.threads,
        detector=options.detector or settings.detector,
    ) as catalog:
        return run_recipe(
            recipe,
            options.data,
            labels=options.labels,
            out=options.out or settings.data_folder / "training",
            device=catalog.device,
            threads=options.threads,
            detector=catalog.detector(),
            report=bar.print,
            on_progress=bar.advance,
        )


@dataclass(frozen=True, slots=True)
class EpochsBar:
    """A progress bar of epochs, with lines of text above it."""

    bar: Progress
    task: TaskID

    def set_total(self, epochs: int) -> None:
        """Set the number of epochs."""
        self.bar.update(self.task, total=epochs)

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def advance(self, epochs_done: int) -> None:
        """Set the number of epochs done."""
        self.bar.update(self.task, completed=epochs_done)


@contextmanager
def _epochs_bar(model: str) -> Iterator[EpochsBar]:
    with progress_bar() as bar:
        yield EpochsBar(bar, bar.add_task(f"{model}: epochs", total=None))
