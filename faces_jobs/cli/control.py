"""The commands that change what becomes of a job: cancel, pause, resume, retry, priority."""

from __future__ import annotations

from typing import get_args

import click

from faces_jobs.cli.jobs import open_client
from faces_jobs.jobs.spec import Priority
from faces_jobs.settings import Settings


@click.command()
@click.argument("job_id")
@click.pass_obj
def cancel(settings: Settings, *, job_id: str) -> None:
    """Cancel a job; what its finished items gave is kept."""
    with open_client(settings) as client:
        click.echo(client.cancel(job_id).status.value)


@click.command()
@click.argument("job_id")
@click.pass_obj
def pause(settings: Settings, *, job_id: str) -> None:
    """Hold a job until it is resumed. It stays so, also when everything is restarted."""
    with open_client(settings) as client:
        click.echo(client.pause(job_id).status.value)


@click.command()
@click.argument("job_id")
@click.pass_obj
def resume(settings: Settings, *, job_id: str) -> None:
    """Let a job go on that is paused, or that waits for space."""
    with open_client(settings) as client:
        click.echo(client.resume(job_id).status.value)


@click.command()
@click.argument("job_id")
@click.pass_obj
def retry(settings: Settings, *, job_id: str) -> None:
    """Work again on what failed of a job, or was cancelled. The rest is kept."""
    with open_client(settings) as client:
        click.echo(client.retry(job_id).status.value)


@click.command()
@click.argument("job_id")
@click.argument("level", type=click.Choice(get_args(Priority)))
@click.pass_obj
def priority(settings: Settings, *, job_id: str, level: Priority) -> None:
    """Change how soon a job is worked on: low, normal or high."""
    with open_client(settings) as client:
        click.echo(client.set_priority(job_id, level).options.priority)
