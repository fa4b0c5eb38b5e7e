"""`faces-jobs demo`: start the whole service and process a sample clip."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from faces_jobs.cli import exits, tables
from faces_jobs.cli.extras import require_extras
from faces_jobs.cli.job_progress import wait_with_bar
from faces_jobs.client.api import Client
from faces_jobs.errors import ServerError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings

START_TIMEOUT_SECONDS = 60.0
POLL_SECONDS = 0.1


@click.command()
@click.pass_obj
def demo(settings: Settings) -> None:
    """Start the service, and show the results of a sample clip.

    The clip is submitted over HTTP. Afterwards the service keeps running, unless standard output
    is not a terminal.
    """
    require_extras(settings, "web", "worker", "train")
    from faces_jobs.cli.supervisor import Supervisor, prepare_database
    from faces_jobs.logs import configure_logs
    from faces_jobs.sample import write_sample_clip
    from faces_jobs_web.server.listening import check_address

    console = tables.console()
    configure_logs("warning")
    check_address(settings)
    prepare_database(settings)
    clip = settings.data_folder / "demo" / "sample.mp4"
    clip.parent.mkdir(parents=True, exist_ok=True)
    console.print("Creating a sample clip from photographs that ship with scikit-image ...")
    write_sample_clip(clip)
    environment = {**os.environ, f"{ENVIRONMENT_PREFIX}LOG_LEVEL": "warning"}  # noqa: TID251 (passed on unchanged)
    with (
        Supervisor.started(workers=settings.workers, environment=environment) as supervisor,
        # Not the server of FACES_JOBS_SERVER_URL, which may be another.
        Client(settings.own_server, access_token=settings.access_token) as client,
    ):
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not client.is_up():
            supervisor.restart_dead()
            if time.monotonic() > deadline:
                raise ServerError(
                    f"The web server did not start within {START_TIMEOUT_SECONDS:g} s; "
                    "its log lines may say why.",
                    status=0,
                    problem={},
                )
            time.sleep(POLL_SECONDS)
        console.print(f"Submitting {clip} to {client.server} ...")
        job = client.submit_files([(clip.name, clip)], {"label": "demo"})
        job = wait_with_bar(client, job.id, console)
        _print_results(client, job, settings.data_folder / "demo", console)
        if job.status is not JobStatus.SUCCEEDED:
            _print_errors(client, job)
            sys.exit(exits.code_of_status(job.status) or exits.FAILED)
        if sys.stdout.isatty():
            line = f"\nServing at {client.server} - press Ctrl-C to stop."
            supervisor.wait(announce=lambda: console.print(line, highlight=False))
        else:
            console.print(
                "\nStandard output is not a terminal, so the demo ends here. To open the links, "
                f"start the service again with `faces-jobs up`: it serves them at {client.server}.",
                highlight=False,
                soft_wrap=True,
            )


def _print_errors(client: Client, job: JobDocument) -> None:
    errors = [job.error, *(item.error for item in client.items(job.id))]
    for error in errors:
        if error is not None:
            click.echo(f"Error: {error.message}", err=True)


def _print_results(client: Client, job: JobDocument, folder: Path, console: Console) -> None:
    tables.print_tracks(list(client.tracks(job.id)), console)
    console.print(f"Job page: {client.server}/jobs/{job.id}", highlight=False, soft_wrap=True)
    for artifact in client.artifacts(job.id):
        path = client.download(artifact, folder)
        url = client.artifact_url(artifact)
        console.print(f"{path}  {url}", highlight=False, soft_wrap=True)
