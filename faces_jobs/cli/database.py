"""`faces-jobs db`: prepare the database."""

from __future__ import annotations

import click

from faces_jobs.settings import Settings


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

    click.echo(current(settings.database) or "none")
