"""`faces-jobs train`: a model from labelled pictures, by its recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import click

from faces_jobs.cli.extras import needing_packages
from faces_jobs.cli.training_parts import (
    DETECTOR,
    data_option,
    detector_option,
    labels_option,
    progress_bar,
    refuse_other_labels,
)
from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName, Settings
from faces_jobs_models.device import WantedDevice, choose_device
from faces_jobs_models.training.label_choice import LabelChoice


@click.command()
@click.argument("model", type=click.Choice([*MODELS, DETECTOR]))
@data_option
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for crops, checkpoints, log, pictures and weights. Default: `training` in the "
    "data folder.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Default: what the recipe says.")
@labels_option
@detector_option
@click.option(
    "--teacher",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For the detector: the ONNX file that it learns from, such as the official YuNet's "
    "(`faces-jobs models fetch yunet`).",
)
@click.option(
    "--alone",
    is_flag=True,
    help="Without the larger network that a recipe may train first, to learn from: on a CPU that "
    "one takes a day.",
)
@click.option(
    "--device",
    type=click.Choice(get_args(WantedDevice)),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Cores to use. More than one pays only where nothing else runs.",
)
@click.pass_obj
def train(
    settings: Settings,
    *,
    model: str,
    data: Path,
    out: Path | None,
    epochs: int | None,
    labels: LabelChoice,
    detector: DetectorName | None,
    teacher: Path | None,
    alone: bool,
    device: WantedDevice,
    threads: int,
) -> None:
    """Train MODEL by its recipe.

    It takes hours, on a GPU minutes. A checkpoint is written after each epoch: the same command
    goes on where it was cut off. At the end the folder with the weights is printed. It can be
    copied to a place that FACES_JOBS_MODELS_FOLDER names.
    """
    if (teacher is not None) != (model == DETECTOR):
        raise click.UsageError("--teacher is for the detector, which learns from one.")
    refuse_other_labels(model, labels)
    if model == DETECTOR and (alone or detector is not None):
        raise click.UsageError(
            f"{'--alone' if alone else '--detector'} is for the other models: the detector learns "
            "from what --teacher names."
        )
    into = out or settings.data_folder / "training"
    chosen = choose_device(device)
    with needing_packages(), progress_bar() as bar:
        task = bar.add_task(f"{model}: epochs", total=None)

        def say(line: str) -> None:
            bar.console.print(line, highlight=False, markup=False, soft_wrap=True)

        def advance(epochs_done: int) -> None:
            bar.update(task, completed=epochs_done)

        if teacher is not None:
            from faces_jobs_models.training.detector.recipe import RECIPE
            from faces_jobs_models.training.detector.run_recipe import (
                run_detector_recipe,
            )

            scene_recipe = replace(RECIPE, epochs=epochs or RECIPE.epochs)
            bar.update(task, total=scene_recipe.epochs)
            folder = run_detector_recipe(
                scene_recipe,
                data,
                teacher=teacher,
                out=into,
                device=chosen,
                threads=threads,
                say=say,
                advance=advance,
            )
        else:
            from faces_jobs_models.catalog import open_catalog
            from faces_jobs_models.training.run_recipe import recipe_of, run_recipe

            recipe = recipe_of(model, labels, epochs=epochs, alone=alone)
            bar.update(task, total=recipe.all_epochs)
            with open_catalog(
                device=chosen,
                models_folder=settings.models_folder,
                threads=threads,
                detector=detector or settings.detector,
            ) as catalog:
                folder = run_recipe(
                    recipe,
                    data,
                    labels=labels,
                    out=into,
                    device=chosen,
                    threads=threads,
                    detector=catalog.detector(),
                    say=say,
                    advance=advance,
                )
    click.echo(folder)
