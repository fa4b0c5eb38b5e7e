"""`faces-jobs db`: prepare the database, and tell where it was looked for."""

from __future__ import annotations

from pathlib import Path

import click

from faces_jobs.errors import DatabaseError
from faces_jobs.settings import Settings
from faces_jobs.settings.storage import DATABASE_NAME


@click.group()
def db() -> None:
    """Prepare the database and tell its schema."""


@db.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the database to the schema of this version. Safe to repeat; loses nothing."""
    from faces_jobs.db.migrate import current
    from faces_jobs.db.migrate import upgrade as migrate

    settings.data_folder.mkdir(parents=True, exist_ok=True)
    migrate(settings.database)
    click.echo(f"The database is at schema {current(settings.database)}.")


@db.command()
@click.pass_obj
def version(settings: Settings) -> None:
    """Tell the schema that the database has."""
    from faces_jobs.db.migrate import current

    nothing_yet = not settings.database_url and not settings.data_folder.exists()
    click.echo("none" if nothing_yet else current(settings.database) or "none")


def message_with_location(error: DatabaseError, settings: Settings) -> str:
    """What is wrong with the database; if it is not there, also which setting says where."""
    folder = settings.data_folder
    if settings.database_url or (folder / DATABASE_NAME).exists():
        return str(error)
    beside = "" if folder.is_absolute() else f", relative to {Path.cwd()}"
    return f"{error} FACES_JOBS_DATA_FOLDER is {folder}{beside}."
