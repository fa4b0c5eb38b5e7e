"""`faces-jobs health`: a health check for containers and for people."""

from __future__ import annotations

import socket
import sys
from typing import Literal, get_args

import click

from faces_jobs.cli import exits
from faces_jobs.cli.database import message_with_location
from faces_jobs.cli.extras import require_extras
from faces_jobs.errors import DatabaseError
from faces_jobs.settings import Settings

Part = Literal["web", "worker", "sweep", "all"]


@click.command()
@click.argument("part", type=click.Choice(get_args(Part)), default="all")
@click.pass_obj
def health(settings: Settings, part: Part) -> None:
    """Check the health of the service, or of one part.

    The exit code is 0, or 1 with the reasons.

    `web`: the server that the settings name passes its own health check. `worker`, `sweep`: one
    on this machine has reported recently. `all`, the default: everything that the service needs
    is working.
    """
    if part == "web":
        reasons = _web_problems(settings)
    elif part == "all":
        reasons = _service_problems(settings)
    else:
        reasons = _process_problems(settings, part)
    for reason in reasons:
        click.echo(reason, err=True)
    if reasons:
        sys.exit(exits.FAILED)
    click.echo("ok")


def _web_problems(settings: Settings) -> list[str]:
    from faces_jobs.client.api import Client

    with Client(settings.server) as client:
        if client.is_up():
            return []
    return [f"{settings.server} does not respond, or its health check fails."]


def _process_problems(settings: Settings, kind: str) -> list[str]:
    from faces_jobs.db.processes import live_processes
    from faces_jobs.db.session import open_database

    host = socket.gethostname()
    try:
        with open_database(settings.database) as database:
            alive = live_processes(database, within_seconds=settings.presence_timeout_seconds)
    except DatabaseError as error:
        return [message_with_location(error, settings)]
    if any(process.kind == kind and process.host == host for process in alive):
        return []
    return [
        f"No {kind} on {host} has reported in the last {settings.presence_timeout_seconds:g} s."
    ]


def _service_problems(settings: Settings) -> list[str]:
    require_extras(settings)
    from faces_jobs.db.session import open_database
    from faces_jobs.queue.producer import open_queue
    from faces_jobs.readiness import Readiness
    from faces_jobs.storage import open_storage

    try:
        with open_database(settings.database) as database, open_queue(settings) as queue:
            readiness = Readiness(
                settings=settings, database=database, storage=open_storage(settings), queue=queue
            )
            missing = readiness.check().missing
    except DatabaseError as error:
        missing = {"database": message_with_location(error, settings)}
    return [f"{part}: {reason}" for part, reason in missing.items()]
