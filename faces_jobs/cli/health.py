"""`faces-jobs health`: one answer for container health checks and for people."""

from __future__ import annotations

import socket
import sys
from typing import Literal

import click

from faces_jobs.cli import exits
from faces_jobs.cli.database import with_place
from faces_jobs.cli.extras import need_extras
from faces_jobs.errors import DatabaseError
from faces_jobs.settings import Settings

Part = Literal["web", "worker", "sweep", "all"]


@click.command()
@click.argument("part", type=click.Choice(["web", "worker", "sweep", "all"]), default="all")
@click.pass_obj
def health(settings: Settings, part: Part) -> None:
    """Tell whether a part of the service is well.

    The exit code is 0, or 1 with the reason.

    `web`: the server of the settings answers. `worker`, `sweep`: one on this machine told lately
    that it lives. `all`, the default: what the whole service needs is there.
    """
    if part == "web":
        reasons = _web(settings)
    elif part == "all":
        reasons = _all(settings)
    else:
        reasons = _process(settings, part)
    for reason in reasons:
        click.echo(reason, err=True)
    if reasons:
        sys.exit(exits.FAILED)
    click.echo("ok")


def _web(settings: Settings) -> list[str]:
    from faces_jobs.client import Client

    with Client(settings.server) as client:
        return [] if client.is_up() else [f"{settings.server} does not answer, or is not well."]


def _process(settings: Settings, kind: str) -> list[str]:
    from faces_jobs.db.processes import live_processes
    from faces_jobs.db.session import open_database

    host = socket.gethostname()
    try:
        with open_database(settings.database) as database:
            alive = live_processes(database, within_seconds=settings.silent_seconds)
    except DatabaseError as error:
        return [with_place(error, settings)]
    if any(process.kind == kind and process.host == host for process in alive):
        return []
    return [f"No {kind} on {host} told of itself for {settings.silent_seconds:g} s."]


def _all(settings: Settings) -> list[str]:
    need_extras(settings)
    from faces_jobs.db.session import open_database
    from faces_jobs.queue import open_queue
    from faces_jobs.readiness import Readiness
    from faces_jobs.storage import open_storage

    try:
        with open_database(settings.database) as database, open_queue(settings) as queue:
            readiness = Readiness(
                settings=settings, database=database, storage=open_storage(settings), queue=queue
            )
            missing = readiness.check().missing
    except DatabaseError as error:
        missing = {"database": with_place(error, settings)}
    return [f"{part}: {reason}" for part, reason in missing.items()]
