"""Real worker and web processes, and helpers that give them work and wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.data import astronaut
from sqlalchemy import select

from faces_jobs.client.api import Client
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue.producer import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.clips import write_video
from tests.factories import StoredJob
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS

# Short, so that tests don't wait as long as an operator would.
SETTINGS = {"heartbeat_seconds": "0.2", "lease_seconds": "3", "sweep_seconds": "0.5"}


@contextmanager
def worker_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start `faces-jobs worker`; it is killed on exit if it is still running."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),  # import the code under test, wherever it is
        "HOME": str(log.parent),
        "OMP_NUM_THREADS": "1",
        "FACES_JOBS_DATA_FOLDER": str(settings.data_folder),
        "FACES_JOBS_DATABASE_URL": settings.database_url,
        "FACES_JOBS_BROKER_URL": settings.broker_url,
        "FACES_JOBS_DEVICE": "cpu",
        # Fixed, so that the many short-lived workers don't measure their best run sizes.
        "FACES_JOBS_FRAMES_A_RUN": "1",
        "FACES_JOBS_CROPS_A_RUN": "16",
        "FACES_JOBS_SEGMENT_SECONDS": str(settings.segment_seconds),
        **storage_variables(settings),
        **{f"FACES_JOBS_{name.upper()}": value for name, value in SETTINGS.items()},
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "faces_jobs", "worker"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class WebServer:
    """A running `faces-jobs web`."""

    url: str
    process: subprocess.Popen[bytes]

    def address(self, job: StoredJob, end: str = "") -> str:
        """Return the URL of a job in the API, or of what is below it."""
        return f"{self.url}/api/v1/jobs/{job.id}{end}"


@contextmanager
def web_server(database_url: str, folder: Path, **variables: str) -> Iterator[WebServer]:
    """Start `faces-jobs web` on a free port, and wait until it answers."""
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "FACES_JOBS_DATA_FOLDER": str(folder / "data"),
        "FACES_JOBS_DATABASE_URL": database_url,
        "FACES_JOBS_PORT": str(port),
        "FACES_JOBS_WEB_THREADS": "2",
        **variables,
    }
    process = subprocess.Popen([sys.executable, "-m", "faces_jobs", "web"], env=environment)
    try:
        with Client(f"http://127.0.0.1:{port}") as client:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not client.is_up():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield WebServer(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        process.wait(TIMEOUT_SECONDS)


def storage_variables(settings: Settings) -> dict[str, str]:
    """Return the environment variables that select where files are stored."""
    secret = settings.s3_secret_access_key
    return {
        "FACES_JOBS_STORAGE": settings.storage,
        "FACES_JOBS_S3_ENDPOINT": settings.s3_endpoint,
        "FACES_JOBS_S3_ALLOW_HTTP": str(settings.s3_allow_http),
        "FACES_JOBS_S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "FACES_JOBS_S3_SECRET_ACCESS_KEY": "" if secret is None else secret.get_secret_value(),
    }


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "timed out waiting for the condition"
        time.sleep(0.05)


def portrait_clip(path: Path, frames: int, **options: Any) -> Path:
    """Write a clip of 256x256 pixels with one real face that moves a little."""
    picture = np.ascontiguousarray(astronaut()[0:256, 96:352, ::-1])  # type: ignore[no-untyped-call]  # ships no types
    return write_video(path, [np.roll(picture, n % 16, axis=1) for n in range(frames)], **options)


def submit(settings: Settings, database: Database, *paths: Path) -> str:
    """Submit files as the web application does. Returns the job's id."""
    with open_queue(settings) as queue, open_storage(settings).receive() as incoming:
        return submit_files(
            [incoming.add(path.name, [path.read_bytes()]) for path in paths],
            JobSpec(),
            database=database,
            storage=open_storage(settings),
            queue=queue,
            settings=settings,
        ).job_id


def is_running(database: Database) -> bool:
    """Whether a worker is running a segment and has reported frames."""
    with database.read() as session:
        return any(
            status == "running" and done > 0
            for status, done in session.execute(select(SegmentRow.status, SegmentRow.frames_done))
        )
