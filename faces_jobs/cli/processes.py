"""The commands that run the service: up (all of it), web, worker, sweep."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from faces_jobs.cli.data_folder import make_data_folder
from faces_jobs.cli.extras import require_extras
from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings


@contextmanager
def _imports() -> Iterator[None]:
    """Import without looking for garbage among what is imported, now or later.

    A tenth of the time goes there, and each full collection would pause a running process for it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _prepare(settings: Settings) -> None:
    """Configure the logs, and create the data folder of a machine that does not have one yet."""
    from faces_jobs.logs import configure_logs

    configure_logs(settings.log_level, settings.log_format)
    # The embedded database is in there, so without a folder there is no database either.
    if settings.database_url:
        make_data_folder(settings)


@click.command()
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Worker processes. Default: FACES_JOBS_WORKERS.",
)
@click.pass_obj
def up(settings: Settings, *, workers: int | None) -> None:
    """Start web, workers and sweep together; Ctrl-C stops them all."""
    require_extras(settings, "web", "worker")
    from faces_jobs.cli.supervisor import Supervisor, prepare_database
    from faces_jobs.cli.worker_deaths import death_recorder
    from faces_jobs.logs import configure_logs
    from faces_jobs_web.server.listening import check_address

    configure_logs(settings.log_level, settings.log_format)
    check_address(settings)
    prepare_database(settings)
    count = workers or settings.workers
    # Workers share this machine's cores, so each has to know how many there are.
    environment = {**os.environ, f"{ENVIRONMENT_PREFIX}WORKERS": str(count)}  # noqa: TID251 (passed on unchanged)
    with Supervisor.started(
        workers=count, environment=environment, record_death=death_recorder(settings)
    ) as supervisor:
        supervisor.wait()


@click.command()
@click.pass_obj
def web(settings: Settings) -> None:
    """Serve the API and the pages."""
    require_extras(settings, "web")
    with _imports():
        from faces_jobs_web.server.process import serve

    _prepare(settings)
    serve(settings)


@click.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Run one worker process. Start as many as the machine has room for."""
    require_extras(settings, "worker")
    with _imports():
        from faces_jobs.worker.celery_worker import run_worker

    _prepare(settings)
    run_worker(settings)


@click.command()
@click.option("--once", is_flag=True, help="Run once and exit, for use from a timer.")
@click.pass_obj
def sweep(settings: Settings, *, once: bool) -> None:
    """Requeue waiting work, repair, tidy up, and send webhooks."""
    require_extras(settings)
    with _imports():
        from faces_jobs.worker.maintenance.sweep import run_sweep

    _prepare(settings)
    run_sweep(settings, once=once)
