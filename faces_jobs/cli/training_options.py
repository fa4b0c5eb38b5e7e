"""What the commands `train` and `evaluate` share: options and a bar."""

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
        help="A folder or file of labelled pictures; docs/labelled-pictures.md lists layouts.",
    )(command)


def models_path_option(command: Command) -> Command:
    """Add `--models-path`."""
    return click.option(
        "--models-path",
        "--models_path",
        type=click.Path(path_type=Path),
        help="A folder with weights to use in place of the ones that ship.",
    )(command)


def detector_option(command: Command) -> Command:
    """Add `--detector`."""
    return click.option(
        "--detector",
        type=click.Choice(get_args(DetectorName)),
        help="What finds the faces. Default: a setting.",
    )(command)


def labels_option(command: Command) -> Command:
    """Add `--labels`."""
    return click.option(
        "--labels",
        type=click.Choice(get_args(LabelChoice)),
        default="ferplus",
        show_default=True,
        help="Which labels of expressions count where a data set has both.",
    )(command)


def check_labels_option(model: str, labels: LabelChoice) -> None:
    """Only expressions are labelled twice.

    Raises:
        click.UsageError: other labels are asked for than there are.
    """
    if labels == "fer2013" and "expression" not in MODELS.get(model, ()):
        raise click.UsageError(
            f"--labels fer2013 is for expression: pictures have one kind of labels for {model}."
        )


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error; it draws nothing where that is no terminal."""
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
