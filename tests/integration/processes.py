"""Real worker processes, and what gives them work and waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from skimage.data import astronaut
from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue import open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.clips import write_video
from tests.services import PATIENCE_SECONDS

# Small enough that a test need not wait for what an operator would.
SETTINGS = {"heartbeat_seconds": "0.2", "lease_seconds": "3", "sweep_seconds": "0.5"}


@contextmanager
def worker_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start `faces-jobs worker`; on the way out it is ended, if it has not ended by itself."""
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),  # the code that is tested, wherever it lies
        "HOME": str(log.parent),
        "OMP_NUM_THREADS": "1",
        "FACES_JOBS_DATA_FOLDER": str(settings.data_folder),
        "FACES_JOBS_DATABASE_URL": settings.database_url,
        "FACES_JOBS_BROKER_URL": settings.broker_url,
        "FACES_JOBS_DEVICE": "cpu",
        # Hundreds of workers would measure what is best for runs that last a second.
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


def storage_variables(settings: Settings) -> dict[str, str]:
    """Environment variables that say where files are kept."""
    secret = settings.s3_secret_access_key
    return {
        "FACES_JOBS_STORAGE": settings.storage,
        "FACES_JOBS_S3_ENDPOINT": settings.s3_endpoint,
        "FACES_JOBS_S3_ALLOW_HTTP": str(settings.s3_allow_http),
        "FACES_JOBS_S3_ACCESS_KEY_ID": settings.s3_access_key_id,
        "FACES_JOBS_S3_SECRET_ACCESS_KEY": "" if secret is None else secret.get_secret_value(),
    }


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def portrait_clip(path: Path, frames: int, **options: Any) -> Path:
    """A face that moves a little, at 256x256."""
    picture = np.ascontiguousarray(astronaut()[0:256, 96:352, ::-1])  # type: ignore[no-untyped-call]  # ships no types
    return write_video(path, [np.roll(picture, n % 16, axis=1) for n in range(frames)], **options)


def submit(settings: Settings, database: Database, *paths: Path) -> str:
    """Upload files, as the web does."""
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
    """Whether a worker has told of frames that it has done."""
    with database.read() as session:
        return any(
            status == "running" and done > 0
            for status, done in session.execute(select(SegmentRow.status, SegmentRow.frames_done))
        )
