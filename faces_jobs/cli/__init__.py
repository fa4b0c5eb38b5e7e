"""The command line `faces-jobs`. It imports what a command needs when that command runs."""

from __future__ import annotations

import codecs
import gc
import io
import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from faces_jobs.cli import exits
from faces_jobs.cli.database import message_with_location
from faces_jobs.cli.options import name_options
from faces_jobs.errors import (
    DatabaseError,
    FacesJobsError,
    OptionsError,
    ServerError,
    SettingsError,
)
from faces_jobs.settings import Settings

_MODULES = {
    "processes": ("up", "web", "worker", "sweep"),
    "health": ("health",),
    "database": ("db",),
    "jobs": ("submit", "status", "wait", "faces", "download", "delete"),
    "control": ("cancel", "pause", "resume", "retry", "priority"),
    "audit": ("audit",),
    "run": ("run",),
    "demo": ("demo",),
    "models": ("models",),
    "evaluate": ("evaluate",),
    "train": ("train",),
}
HELP_NAMES = frozenset({"-h", "--help"})


class _Commands(Mapping[str, click.Command]):
    """All commands by name. The module of one is imported when the command is used."""

    def __init__(self) -> None:
        self._modules = {name: module for module, names in _MODULES.items() for name in names}

    def __getitem__(self, name: str) -> click.Command:
        module = import_module(f"faces_jobs.cli.{self._modules[name]}")
        command: click.Command = getattr(module, name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class _InvalidSettings:
    """Takes the place of invalid settings for `--help`, which needs none; raises when used."""

    def __init__(self, error: SettingsError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _OutputClosedError(Exception):
    """The reader of standard output has closed it, as `head` does; not an error for the user."""


class _RootGroup(click.Group):
    """Adds to errors of all commands the options and settings that the user can correct."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError as error:
            raise _OutputClosedError from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _OutputClosedError from error
        except DatabaseError as error:
            raise DatabaseError(message_with_location(error, ctx.obj)) from error
        except (OptionsError, ServerError) as error:
            command = self.commands[ctx.invoked_subcommand or ""]
            error.args = (name_options(str(error), error.fields, command),)
            raise


@click.group(
    cls=_RootGroup,
    commands=_Commands(),
    help="Find and classify faces in videos and photos: a self-hosted service and a local tool.",
    epilog=exits.HELP,
    context_settings={"help_option_names": [*HELP_NAMES], "max_content_width": 100},
)
@click.version_option(package_name="faces-jobs")
@click.pass_context
def cli(context: click.Context) -> None:
    """Read the settings from the environment, once for all commands."""
    try:
        context.obj = Settings.from_environment(os.environ)  # noqa: TID251 (the only place that reads them)
    except SettingsError as error:
        if HELP_NAMES.isdisjoint(sys.argv):
            raise
        context.obj = _InvalidSettings(error)


def main() -> None:
    """Run one command and exit with a code from `exits`."""
    _prepare_output()
    code: int | str | None = exits.OK
    try:
        code = _run()
        sys.stdout.flush()  # report a full disk here; at exit it would be a traceback
    except (BrokenPipeError, _OutputClosedError):
        _discard_output()
    except OSError as error:
        message = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
        click.echo(f"Error: {message or error}", err=True)
        _discard_output()
        code = exits.FAILED
    # At exit Python would look for garbage among all that was imported: 0.2 s of a core.
    gc.freeze()
    sys.exit(code)


def _prepare_output() -> None:
    """Make sure that there is an output, and that every name can be written to it.

    The shell may have closed it (`>&-`). Its encoding may lack a character of a file's name, and
    a path may have bytes that are no text, which are written as they are.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the end)
            setattr(sys, name, null)
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf_8 else "backslashreplace")


def _run() -> int | str | None:
    try:
        code: int = cli.main(standalone_mode=False)
    except click.exceptions.Exit as finished:
        code = finished.exit_code
    except click.Abort:
        code = exits.INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except FacesJobsError as error:
        click.echo(f"Error: {error}", err=True)
        code = exits.code_of(error)
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    except SystemExit as finished:
        return finished.code
    return code


def _discard_output() -> None:
    """Discard buffered output that can't be written: Python would try again at exit, and fail."""
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
