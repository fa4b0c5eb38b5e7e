"""Options of the commands about models, and the progress bar of `train` and `evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName
from faces_jobs_models.training.label_choice import LabelChoice

DETECTOR = "detector"

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """Add `--data`."""
    return click.option(
        "--data",
        required=True,
        type=click.Path(exists=True, path_type=Path),
        help="Folder or file of labelled pictures; docs/labelled-pictures.md lists the layouts.",
    )(command)


def models_path_option(command: Command) -> Command:
    """Add `--models-path`."""
    return click.option(
        "--models-path",
        "--models_path",
        type=click.Path(path_type=Path),
        help="Folder with weights to use instead of those that ship.",
    )(command)


def detector_option(command: Command) -> Command:
    """Add `--detector`."""
    return click.option(
        "--detector",
        type=click.Choice(get_args(DetectorName)),
        help="Network that detects the faces: our own, CenterFace, or the official YuNet. "
        "Default: FACES_JOBS_DETECTOR.",
    )(command)


def labels_option(command: Command) -> Command:
    """Add `--labels`."""
    return click.option(
        "--labels",
        type=click.Choice(get_args(LabelChoice)),
        default="ferplus",
        show_default=True,
        help="Labels of expressions to use if a data set has both.",
    )(command)


def check_labels_option(model: str, labels: LabelChoice) -> None:
    """Check that `--labels` fits the model: only expressions have two sets of labels.

    Raises:
        click.UsageError: it does not.
    """
    if labels == "fer2013" and "expression" not in MODELS.get(model, ()):
        raise click.UsageError(
            f"--labels fer2013 is for expression: there is only one set of labels for {model}."
        )


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on standard error; draws nothing if that is not a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
    ) as bar:
        yield bar
