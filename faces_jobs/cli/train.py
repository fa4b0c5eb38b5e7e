"""`faces-jobs train`: a model from labelled pictures, by its recipe."""

from __future__ import annotations

from pathlib import Path

import click

from faces_jobs.cli.training_parts import (
    DETECTOR,
    Labels,
    data_option,
    detector_option,
    labels_option,
    needing_packages,
    progress_bar,
)
from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName, Settings


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
    labels: Labels,
    detector: DetectorName | None,
    threads: int,
) -> None:
    """Train MODEL by its recipe, and print the folder with the weights.

    It takes hours. A checkpoint is written after each epoch: the same command goes on where it
    was cut off. The folder can be copied to a place that FACES_JOBS_MODELS_FOLDER names.
    """
    with needing_packages():
        import torch

        from faces_jobs_models.catalog import open_catalog
        from faces_jobs_models.training.run_recipe import recipe_of, run_recipe

        torch.set_num_threads(threads)
        recipe = recipe_of(model, labels, epochs=epochs)
        with (
            open_catalog(
                device="cpu", threads=threads, detector=detector or settings.detector
            ) as catalog,
            progress_bar() as bar,
        ):
            task = bar.add_task(f"{model}: epochs", total=recipe.epochs)
            folder = run_recipe(
                recipe,
                data,
                labels=labels,
                out=out or settings.data_folder / "training",
                detector=catalog.detector(),
                say=lambda line: bar.console.print(line, highlight=False, markup=False),
                advance=lambda epochs_done: bar.update(task, completed=epochs_done),
            )
    click.echo(folder)
