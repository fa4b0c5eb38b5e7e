"""Command-line options that several commands share; a job's are generated from `JobSpec`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args

import click

from faces_jobs.jobs.labels import HEADS, LABELS_WITH_UNSURE, MODELS
from faces_jobs.jobs.spec import JobSpec

Command = TypeVar("Command", bound=Callable[..., Any])
# Options without a meaning where there is no server.
SERVER_OPTIONS = frozenset({"priority", "label", "keep_days", "webhook"})


def json_option(command: Command) -> Command:
    """Add `--json`, which a command gets as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the API's JSON document.")(
        command
    )


def local_options(command: Command) -> Command:
    """Add the options of `spec_options` except those that only a server can apply."""
    return _options(command, [name for name in JobSpec.model_fields if name not in SERVER_OPTIONS])


def spec_options(command: Command) -> Command:
    """Add an option for each field of `JobSpec`, and `--models`.

    The command gets them as keyword arguments, each text or None. `pop_given_options` collects
    those that were given, and `JobSpec.parse_text` validates them as it does for the web form.
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
            help=f"{field.description} Default: {_default_text(field.default)}.",
        )(command)
    return click.option(
        "--models",
        default=None,
        metavar="1,1,1",
        help=f"Models on (1) or off (0): {', '.join(MODELS)}; or their names. Default: all on.",
    )(command)


def pop_given_options(options: dict[str, Any]) -> dict[str, str]:
    """Remove a job's options from a command's arguments, and return those given, as text."""
    given = {}
    for name in ("models", *JobSpec.model_fields):
        value = options.pop(name, None)
        if value is not None:
            given[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return given


def filter_options(command: Command) -> Command:
    """Add the filters of faces: by each head, probability, item, track, time and score."""
    for head in reversed(HEADS):
        command = click.option(
            f"--{head}",
            multiple=True,
            type=click.Choice(LABELS_WITH_UNSURE[head]),
            help=f"Only faces with this {head}; repeatable.",
        )(command)
    for flag, kind, text in (
        ("--min-score", click.FLOAT, "Minimum detector score."),
        ("--max-time-ms", click.FLOAT, "Latest time in the item, in milliseconds."),
        ("--min-time-ms", click.FLOAT, "Earliest time in the item, in milliseconds."),
        ("--track", click.INT, "Only the track with this number."),
        ("--item", click.INT, "Only the item with this id."),
        ("--min-probability", click.FLOAT, "Minimum probability of each attribute given."),
    ):
        command = click.option(flag, type=kind, default=None, help=text)(command)
    # Its name in earlier versions.
    return click.option("--item-id", type=click.INT, hidden=True, help="The same as --item.")(
        command
    )


def query_parameters(filters: dict[str, Any]) -> dict[str, Any]:
    """Convert the filters that were given to the API's query parameters.

    Raises:
        UsageError: a minimum probability is given, but no attribute.
    """
    if (item := filters.pop("item_id")) is not None:
        filters["item"] = item
    min_probability = filters.pop("min_probability")
    if min_probability is not None and not any(filters[head] for head in HEADS):
        raise click.UsageError(
            "--min-probability needs an attribute: add one, such as --gender female."
        )
    query = {}
    for name, value in filters.items():
        if name in HEADS and value:
            query[name] = list(value)
            if min_probability is not None:
                query[f"{name}_min_probability"] = min_probability
        elif name not in HEADS and value is not None:
            query[name] = value
    return query


def name_options(message: str, fields: Iterable[str], command: click.Command) -> str:
    """Replace the API's fields in an error message by the options of `command` that set them."""
    options = {
        parameter.name: parameter.opts[0]
        for parameter in command.params
        if isinstance(parameter, click.Option)
    }
    for field in fields:
        name = field.lower().replace("-", "_")  # a field may be a header
        if name.endswith("_min_probability"):  # sent for each attribute that is filtered by
            name = "min_probability"
        if name in options:
            message = re.sub(rf"(?<![\w-]){re.escape(field)}: ", f"{options[name]}: ", message)
    return message


def _metavar(kind: object) -> str:
    """The placeholder of an option's value in the help. `JobSpec` validates the value."""
    kinds = get_args(kind) or (kind,)
    if all(isinstance(choice, str) for choice in kinds):
        return f"[{'|'.join(kinds)}]"
    return "INTEGER" if int in kinds else "NUMBER" if float in kinds else "TEXT"


def _default_text(default: object) -> str:
    match default:
        case True:
            return "on"
        case False:
            return "off"
        case None | "":
            return "none"
        case _:
            return str(default)
