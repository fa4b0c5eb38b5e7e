"""Measures a folder of small images as one job: time per image beyond inference, and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
from skimage.data import astronaut
from sqlalchemy import func, select

from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import ItemRow, JobRow, MeasureRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus
from faces_jobs.queue.producer import open_queue
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_folder
from tests.bench_jobs.backends import Backend, running, status_of

SIDE = 160  # pixels, as typical thumbnails of faces
EARLY = 1000  # images after which memory is measured first
POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ImagesFigures:
    """Time and memory of a folder."""

    images: int
    submit_seconds: float
    inference_ms: float  # decode, detect, crop, classify, vote, draw and encode the outputs
    beyond_ms: float  # the rest of the time between the first claim and the end state
    early_mb: float  # of the worker, when EARLY images are done
    late_mb: float  # of the worker, when all images are done


def write_images(folder: Path, count: int) -> None:
    """Write JPEGs of a face that differ from one another."""
    folder.mkdir(parents=True)
    portrait = np.ascontiguousarray(astronaut()[0:256, 96:352, ::-1])  # type: ignore[no-untyped-call]  # ships no types
    variants = [cv2.resize(np.roll(portrait, n, axis=1), (SIDE, SIDE)) for n in range(16)]
    for number in range(count):
        picture = variants[number % len(variants)].copy()
        picture[:2, :, 0] = number % 251
        if not cv2.imwrite(str(folder / f"{number:06d}.jpg"), picture):
            raise OSError(f"{folder} can't be written to")


def measure_images(backend: Backend, count: int) -> ImagesFigures:
    """Submit the backend's root folder `pictures` as a job, and process it with one worker."""
    settings = backend.settings
    with (
        open_database(settings.database) as database,
        open_queue(settings) as queue,
    ):
        started = time.perf_counter()
        job_id = submit_folder(
            "pictures",
            "",
            JobSpec(),
            database=database,
            storage=open_storage(settings),
            queue=queue,
            settings=settings,
        ).job_id
        submitted = time.perf_counter() - started
        with running(backend, "worker") as process:
            early, late = _watch(database, job_id, psutil.Process(process.pid))
        with database.read() as session:
            row = session.get_one(JobRow, job_id)
            seconds = (row.ended_at or 0.0) - (row.started_at or 0.0)
            # The worker writes its counters when it exits.
            inference = session.scalar(
                select(func.sum(MeasureRow.value)).where(MeasureRow.name == "stage_seconds")
            )
        status = status_of(database, job_id)
    if status != "succeeded" or inference is None:
        raise RuntimeError(f"the job ended {status}")
    return ImagesFigures(
        images=count,
        submit_seconds=submitted,
        inference_ms=inference / count * 1000,
        beyond_ms=(seconds - inference) / count * 1000,
        early_mb=early,
        late_mb=late,
    )


def _watch(database: Database, job_id: str, worker: psutil.Process) -> tuple[float, float]:
    """Wait for the job's end; return the worker's resident MB after EARLY images and at the end."""
    early = late = 0.0
    while not status_of(database, job_id).ended:
        resident = worker.memory_info().rss / 2**20
        if not early and _done(database, job_id) >= EARLY:
            early = resident
        late = resident
        time.sleep(POLL_SECONDS)
    return early or late, late


def _done(database: Database, job_id: str) -> int:
    with database.read() as session:
        return (
            session.scalar(
                select(func.count()).where(
                    ItemRow.job_id == job_id, ItemRow.status == ItemStatus.SUCCEEDED
                )
            )
            or 0
        )
