"""What the queue costs: a clip as a job of one worker, against `faces-jobs run` on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from faces_jobs.db.session import open_database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue import open_queue
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.bench_jobs.backends import Backend, running, status_of

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds by the clock, and of the processor: the latter also hold on a busy machine."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """What one way took, and how much longer that is than `faces-jobs run`."""

    way: str
    seconds: float
    cpu_seconds: float
    percent: float
    cpu_percent: float


def measure_overhead(
    cut: Backend, uncut: Backend, clip: Path, folder: Path, *, annotated: bool, rounds: int
) -> list[OverheadFigures]:
    """Each way in turns, and of its rounds the median: of the seconds, and of how much more it was.

    The latter is asked within each round, since the same thing takes a machine some percent more
    or less from minute to minute. So is who comes first turned about.

    Each way starts a process that loads the networks. `cut` is the service as it comes; in
    `uncut` the video is one segment, which tells what cutting it costs.
    """
    ways: dict[str, Callable[[int], Took]] = {
        "run": lambda n: _run(clip, folder / f"out-{annotated}-{n}", annotated=annotated),
        "job": lambda _: _job(cut, clip, annotated=annotated),
        "job, not cut": lambda _: _job(uncut, clip, annotated=annotated),
    }
    names = list(ways)
    took: list[dict[str, Took]] = []
    for number in range(rounds):
        first = number % len(names)
        took.append({way: ways[way](number) for way in [*names[first:], *names[:first]]})
    return [
        OverheadFigures(
            way=f"{way}, {'annotated' if annotated else 'attributes only'}",
            seconds=median(each[way].seconds for each in took),
            cpu_seconds=median(each[way].cpu_seconds for each in took),
            percent=median(_more(each[way].seconds, each["run"].seconds) for each in took),
            cpu_percent=median(
                _more(each[way].cpu_seconds, each["run"].cpu_seconds) for each in took
            ),
        )
        for way in names
    ]


def _more(took: float, than: float) -> float:
    return (took / than - 1) * 100


def _run(clip: Path, out: Path, *, annotated: bool) -> Took:
    command = [sys.executable, "-m", "faces_jobs", "run", "--inputs-path", str(clip)]
    option = "--annotated" if annotated else "--no-annotated"
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--outputs-path", str(out), "--device", "cpu", option],
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for behind its back
    if status:
        raise RuntimeError(f"faces-jobs run ended with {process.returncode}")
    return Took(time.perf_counter() - started, used.ru_utime + used.ru_stime)


def _job(backend: Backend, clip: Path, *, annotated: bool) -> Took:
    """From the submission and the worker's start to the end state."""
    settings = backend.settings
    with (
        open_database(settings.database) as database,
        open_queue(settings) as queue,
        open_storage(settings).receive() as incoming,
    ):
        started = time.time()
        with clip.open("rb") as source:
            file = incoming.add(clip.name, iter(lambda: source.read(1 << 20), b""))
        job_id = submit_files(
            [file],
            JobSpec(annotated=annotated),
            database=database,
            storage=open_storage(settings),
            queue=queue,
            settings=settings,
        ).job_id
        with running(backend, "worker") as process:
            while not status_of(database, job_id).ended:
                time.sleep(POLL_SECONDS)
            used = psutil.Process(process.pid).cpu_times()
        with database.read() as session:
            job = session.get_one(JobRow, job_id)
    if job.status is not JobStatus.SUCCEEDED or job.ended_at is None:
        raise RuntimeError(f"the job ended {job.status}")
    # By its row, which has this machine's clock, and not by when it was asked for.
    return Took(job.ended_at - started, used.user + used.system)
