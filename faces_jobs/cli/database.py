"""`faces-jobs db`: manage the database's schema; and the hint where the database is."""

from __future__ import annotations

from pathlib import Path

import click

from faces_jobs.cli.data_folder import make_data_folder
from faces_jobs.errors import DatabaseError
from faces_jobs.settings import Settings


@click.group()
def db() -> None:
    """Manage the database's schema."""


@db.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Upgrade the database to the schema of this version. Safe to repeat; loses no data."""
    from faces_jobs.db.migrate import current
    from faces_jobs.db.migrate import upgrade as migrate

    make_data_folder(settings)
    migrate(settings.database)
    click.echo(f"The database is at schema {current(settings.database)}.")


@db.command()
@click.pass_obj
def version(settings: Settings) -> None:
    """Print the version of the database's schema."""
    from faces_jobs.db.engine import is_missing
    from faces_jobs.db.migrate import current

    no_database = not settings.database_url and is_missing(settings.data_folder)
    click.echo("none" if no_database else current(settings.database) or "none")


def message_with_location(error: DatabaseError, settings: Settings) -> str:
    """The error's message; with the embedded database, followed by the setting of its folder."""
    folder = settings.data_folder
    if settings.database_url:
        return str(error)
    relative_to = "" if folder.is_absolute() else f", relative to {Path.cwd()}"
    return f"{error} FACES_JOBS_DATA_FOLDER is {folder}{relative_to}."
