"""Measures the service with real processes: start-up times, and the gain of a second worker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
from sqlalchemy import select

from faces_jobs.client.api import Client
from faces_jobs.cores import usable_cores
from faces_jobs.db.migrate import upgrade
from faces_jobs.db.processes import live_processes
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import Settings
from tests.acceptance.service import running_service
from tests.integration.processes import is_running, submit

POLL_SECONDS = 0.02


def cold_start_seconds(picture: Path, folder: Path) -> float:
    """Measure from the start of a worker process to the end of a waiting job of one small image.

    This includes imports, connections, opening all four networks, and processing the image.
    """
    settings = Settings.model_validate({"data_folder": folder, "device": "cpu"})
    folder.mkdir(parents=True)
    upgrade(settings.database)
    with open_database(settings.database) as database:
        submit(settings, database, picture)
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "FACES_JOBS_DATA_FOLDER": str(folder),
        "FACES_JOBS_DEVICE": "cpu",
    }
    started = time.perf_counter()
    worker = subprocess.Popen(
        [sys.executable, "-m", "faces_jobs", "worker"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with open_database(settings.database) as database:
            while not _has_ended(database):
                time.sleep(POLL_SECONDS)
        return time.perf_counter() - started
    finally:
        worker.kill()
        worker.wait()


def first_progress_seconds(clip: Path, picture: Path, folder: Path) -> float:
    """Measure from the response to a submission to the first progress, with an idle worker.

    The database row is polled: polling the API so often would take a core from the worker.
    """
    settings = Settings.model_validate({"data_folder": folder / "data"})
    with (
        running_service(folder) as service,
        Client(service.url) as client,
        open_database(settings.database) as database,
    ):
        warm_up = client.submit_files([(picture.name, picture)], {})
        _end_of(client, warm_up.id)
        client.submit_files([(clip.name, clip)], {"annotated": "false"})
        accepted = time.perf_counter()
        while not is_running(database):
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - accepted


def video_seconds(clip: Path, folder: Path, *, workers: int, bound: bool) -> float:
    """Measure from the first claim to the end of one video, with workers of one lane each.

    Besides its lane, a worker has threads that decode, draw and encode, so it uses more than one
    core; with `bound` each worker is pinned to one core.
    """
    with (
        running_service(folder, "--workers", str(workers), lanes="1") as service,
        Client(service.url) as client,
    ):
        pids = _worker_pids(folder / "data", workers)
        if bound:
            for pid, core in zip(pids, range(usable_cores()), strict=False):
                _bind(pid, core)
        job = _end_of(client, client.submit_files([(clip.name, clip)], {}).id)
        if job.started_at is None or job.ended_at is None or job.status is not JobStatus.SUCCEEDED:
            raise RuntimeError(f"the job ended as {job.status}: {service.log.read_text()}")
        return (job.ended_at - job.started_at).total_seconds()


def _worker_pids(data: Path, workers: int) -> list[int]:
    """Wait until the workers are alive, and return their process ids."""
    settings = Settings.model_validate({"data_folder": data})
    with open_database(settings.database) as database:
        while True:
            alive = live_processes(database, within_seconds=settings.presence_timeout_seconds)
            # A process's name consists of its host, its id and a random suffix.
            pids = [int(one.name.split("-")[-2]) for one in alive if one.kind == "worker"]
            if len(pids) >= workers:
                return sorted(pids)
            time.sleep(POLL_SECONDS)


def _bind(pid: int, core: int) -> None:
    """Pin all threads of a process, and those that they will start, to one core."""
    for thread in psutil.Process(pid).threads():
        psutil.Process(thread.id).cpu_affinity([core])


def _has_ended(database: Database) -> bool:
    with database.read() as session:
        return all(JobStatus(status).ended for status in session.scalars(select(JobRow.status)))


def _end_of(client: Client, job_id: str) -> JobDocument:
    *_, last = client.follow(job_id)
    return last
