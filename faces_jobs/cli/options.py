"""Command-line options for a job's options, made from `JobSpec` so that none is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE, MODELS
from faces_jobs.jobs.spec import JobSpec

Command = TypeVar("Command", bound=Callable[..., Any])
# Options that mean nothing where there is no server.
SERVER_OPTIONS = frozenset({"priority", "label", "keep_days", "webhook"})


def local_options(command: Command) -> Command:
    """Add the options of `spec_options` but for those that only a server can heed."""
    return _options(command, [name for name in JobSpec.model_fields if name not in SERVER_OPTIONS])


def spec_options(command: Command) -> Command:
    """Add an option for each field of `JobSpec`, and `--models`.

    The command gets them as keyword arguments of text or None; `given_options` picks those
    that were given, for `JobSpec.parse_text` to judge: here as for the web form.
    """
    return _options(command, list(JobSpec.model_fields))


def _options(command: Command, names: list[str]) -> Command:
    for name in reversed(names):
        if name in MODELS:
            continue
        field = JobSpec.model_fields[name]
        flag = name.replace("_", "-")
        switch = field.annotation is bool
        command = click.option(
            f"--{flag}/--no-{flag}" if switch else f"--{flag}",
            name,
            type=bool if switch else str,
            default=None,
            metavar=None if switch else _metavar(field.annotation),
            help=f"{field.description} Default: {_shown(field.default)}.",
        )(command)
    return click.option(
        "--models",
        default=None,
        metavar="1,1,1",
        help=f"Models on (1) or off (0): {', '.join(MODELS)}; or their names. Default: all on.",
    )(command)


def given_options(options: dict[str, Any]) -> dict[str, str]:
    """Remove a job's options from a command's arguments and return those given, as text."""
    given = {}
    for name in ("models", *JobSpec.model_fields):
        value = options.pop(name, None)
        if value is not None:
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return given


def filter_options(command: Command) -> Command:
    """Add the filters of faces: one option a head, its probability, item, track and time."""
    for head in reversed(HEADS):
        command = click.option(
            f"--{head}",
            multiple=True,
            type=click.Choice(LABELS_WITH_UNSURE[head]),
            help=f"Keep this {head}; repeatable.",
        )(command)
    for flag, kind, text in (
        ("--min-score", click.FLOAT, "Lowest detector score."),
        ("--max-time-ms", click.FLOAT, "Latest time within the item, in milliseconds."),
        ("--min-time-ms", click.FLOAT, "Earliest time within the item, in milliseconds."),
        ("--track", click.INT, "Only this track."),
        ("--item", click.INT, "Only this item."),
        ("--min-probability", click.FLOAT, "Lowest probability of each attribute asked for."),
    ):
        command = click.option(flag, type=kind, default=None, help=text)(command)
    # Its name in earlier versions.
    return click.option("--item-id", type=click.INT, hidden=True, help="The same as --item.")(
        command
    )


def query_of(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters that were given, as the API's query parameters.

    Raises:
        UsageError: a lowest probability, and no attribute whose it is.
    """
    if (item := filters.pop("item_id")) is not None:
        filters["item"] = item
    lowest = filters.pop("min_probability")
    if lowest is not None and not any(filters[head] for head in HEADS):
        raise click.UsageError(
            "--min-probability is of an attribute: name one, such as --gender female."
        )
    query = {}
    for name, value in filters.items():
        if name in HEADS and value:
            query[name] = list(value)
            if lowest is not None:
                query[f"{name}_min_probability"] = lowest
        elif name not in HEADS and value is not None:
            query[name] = value
    return query


def _metavar(kind: object) -> str:
    """What stands for an option's value in the help. The text itself is judged by `JobSpec`."""
    kinds = get_args(kind) or (kind,)
    if all(isinstance(one, str) for one in kinds):
        return f"[{'|'.join(kinds)}]"
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "TEXT"


def _shown(default: object) -> str:
    match default:
        case True:
            return "on"
        case False:
            return "off"
        case None | "":
            return "none"
        case _:
            return str(default)
