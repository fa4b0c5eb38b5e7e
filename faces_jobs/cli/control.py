"""The commands that control a job: cancel, pause, resume, retry, priority."""

from __future__ import annotations

from typing import get_args

import click

from faces_jobs.cli.jobs import open_client
from faces_jobs.cli.json_output import print_document
from faces_jobs.cli.options import json_option
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.spec import Priority
from faces_jobs.settings import Settings


@click.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def cancel(settings: Settings, *, job_id: str, as_json: bool) -> None:
    """Cancel a job. Results of finished files are kept."""
    with open_client(settings) as client:
        job = client.cancel(job_id)
    _print_result(job, job.status.value, as_json=as_json)


@click.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def pause(settings: Settings, *, job_id: str, as_json: bool) -> None:
    """Pause a job until it is resumed. The pause survives a restart of the service."""
    with open_client(settings) as client:
        job = client.pause(job_id)
    _print_result(job, job.status.value, as_json=as_json)


@click.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def resume(settings: Settings, *, job_id: str, as_json: bool) -> None:
    """Resume a job that is paused or waits for disk space."""
    with open_client(settings) as client:
        job = client.resume(job_id)
    _print_result(job, job.status.value, as_json=as_json)


@click.command()
@click.argument("job_id")
@json_option
@click.pass_obj
def retry(settings: Settings, *, job_id: str, as_json: bool) -> None:
    """Retry the files of a job that failed or were cancelled. Other results are kept."""
    with open_client(settings) as client:
        job = client.retry(job_id)
    _print_result(job, job.status.value, as_json=as_json)


@click.command()
@click.argument("job_id")
@click.argument("level", type=click.Choice(get_args(Priority)))
@json_option
@click.pass_obj
def priority(settings: Settings, *, job_id: str, level: Priority, as_json: bool) -> None:
    """Change a job's priority: low, normal or high."""
    with open_client(settings) as client:
        job = client.set_priority(job_id, level)
    _print_result(job, job.options.priority, as_json=as_json)


def _print_result(job: JobDocument, summary: str, *, as_json: bool) -> None:
    if as_json:
        print_document(job)
    else:
        click.echo(summary)
