"""The command line: `faces-jobs COMMAND`. Each command's heavy imports happen when it runs."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from faces_jobs.cli import exits
from faces_jobs.cli.audit import audit
from faces_jobs.cli.control import cancel, pause, priority, resume, retry
from faces_jobs.cli.database import db, message_with_location
from faces_jobs.cli.demo import demo
from faces_jobs.cli.evaluate import evaluate
from faces_jobs.cli.health import health
from faces_jobs.cli.jobs import delete, download, faces, status, submit, wait
from faces_jobs.cli.models import models
from faces_jobs.cli.options import name_options
from faces_jobs.cli.processes import sweep, up, web, worker
from faces_jobs.cli.run import run
from faces_jobs.cli.train import train
from faces_jobs.errors import (
    DatabaseError,
    FacesJobsError,
    OptionsError,
    ServerError,
    SettingsError,
)
from faces_jobs.settings import Settings

COMMANDS = (
    up,
    web,
    worker,
    sweep,
    health,
    db,
    submit,
    status,
    wait,
    faces,
    download,
    cancel,
    pause,
    resume,
    retry,
    priority,
    delete,
    audit,
    run,
    demo,
    models,
    evaluate,
    train,
)
HELP_NAMES = frozenset({"-h", "--help"})


class _UnreadableSettings:
    """Stands for settings that can't be read while a command only explains itself."""

    def __init__(self, error: SettingsError) -> None:
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error


class _ReaderGoneError(Exception):
    """The reader of our output (`head`) has gone: that is its right, and no error."""


class _Commands(click.Group):
    """The root group: makes errors of all commands refer to what the user typed or set."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **options)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGoneError from error
        except DatabaseError as error:
            raise DatabaseError(message_with_location(error, ctx.obj)) from error
        except (OptionsError, ServerError) as error:
            command = self.commands[ctx.invoked_subcommand or ""]
            error.args = (name_options(str(error), error.fields, command),)
            raise


@click.group(
    cls=_Commands,
    commands=COMMANDS,
    help="Face attributes in video and photographs: a self-hosted service and a tool.",
    epilog=exits.HELP,
    context_settings={"help_option_names": [*HELP_NAMES], "max_content_width": 100},
)
@click.version_option(package_name="faces-jobs")
@click.pass_context
def cli(context: click.Context) -> None:
    """Read the settings once, for whatever command follows."""
    try:
        context.obj = Settings.from_environment(os.environ)  # noqa: TID251 (the one reading)
    except SettingsError as error:
        if HELP_NAMES.isdisjoint(sys.argv):
            raise
        context.obj = _UnreadableSettings(error)


def main() -> None:
    """Run one command and end the process with an exit code that scripts can use."""
    code: int | str | None = exits.OK
    try:
        code = _run()
        if sys.stdout is not None:  # as it is where a shell closed it
            sys.stdout.flush()  # a full disk is told here; later it would be a traceback
    except (BrokenPipeError, _ReaderGoneError):
        _drop_output()
    except OSError as error:
        said = ": ".join(str(one) for one in (error.filename, error.strerror) if one)
        click.echo(f"Error: {said or error}", err=True)
        _drop_output()
        code = exits.FAILED
    sys.exit(code)


def _run() -> int | str | None:
    try:
        code: int = cli.main(standalone_mode=False)
    except click.exceptions.Exit as ended:
        code = ended.exit_code
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
    except SystemExit as ended:
        return ended.code
    return code


def _drop_output() -> None:
    """Let go of what can't be written, which Python would try to write once more at its end."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
