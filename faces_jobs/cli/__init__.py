"""The command line `faces-jobs`. It imports what a command needs when that command runs."""

from __future__ import annotations

import codecs
import gc
import io
import os
import sys
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

_COMMANDS_BY_MODULE = {
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
_MODULES = {name: module for module, names in _COMMANDS_BY_MODULE.items() for name in names}
HELP_NAMES = frozenset({"-h", "--help"})


class _InvalidSettings:
    """Takes the place of invalid settings for `--help`, which needs none; raises when used."""

    def __init__(self, error: SettingsError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _OutputClosedError(Exception):
    """The reader of standard output has closed it, as `head` does; not an error for the user."""


class _RootGroup(click.Group):
    """Imports a command's module when it is used, and names in errors what the user can correct."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"faces_jobs.cli.{_MODULES[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command

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
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            if command is not None:
                error.args = (name_options(str(error), error.fields, command),)
            raise


@click.group(
    cls=_RootGroup,
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
