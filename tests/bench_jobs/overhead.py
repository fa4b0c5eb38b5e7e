"""Measures the overhead of jobs: a clip processed by one worker against `faces-jobs run`."""

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
class Duration:
    """Elapsed seconds and processor seconds; the latter are valid on a busy machine too."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """Medians of one way to process the clip, and how much more it took than `faces-jobs run`."""

    way: str
    seconds: float
    cpu_seconds: float
    percent: float
    cpu_percent: float


def measure_overhead(
    cut: Backend, uncut: Backend, clip: Path, folder: Path, *, annotated: bool, rounds: int
) -> list[OverheadFigures]:
    """Run the clip in each way in turns; return the medians over the rounds.

    The extra time is computed within each round, since the speed of a machine varies by some
    percent from minute to minute; for the same reason each round starts with another way.

    Each way starts a process that loads the networks. `cut` is the service with its default
    settings; in `uncut` the video is one segment, which shows the cost of cutting it.
    """
    ways: dict[str, Callable[[int], Duration]] = {
        "run": lambda n: _run(clip, folder / f"out-{annotated}-{n}", annotated=annotated),
        "job": lambda _: _job(cut, clip, annotated=annotated),
        "job, not cut": lambda _: _job(uncut, clip, annotated=annotated),
    }
    names = list(ways)
    durations: list[dict[str, Duration]] = []
    for number in range(rounds):
        first = number % len(names)
        durations.append({way: ways[way](number) for way in [*names[first:], *names[:first]]})
    return [
        OverheadFigures(
            way=f"{way}, {'annotated' if annotated else 'attributes only'}",
            seconds=median(each[way].seconds for each in durations),
            cpu_seconds=median(each[way].cpu_seconds for each in durations),
            percent=median(
                _percent_more(each[way].seconds, each["run"].seconds) for each in durations
            ),
            cpu_percent=median(
                _percent_more(each[way].cpu_seconds, each["run"].cpu_seconds) for each in durations
            ),
        )
        for way in names
    ]


def _percent_more(seconds: float, reference: float) -> float:
    return (seconds / reference - 1) * 100


def _run(clip: Path, out: Path, *, annotated: bool) -> Duration:
    command = [sys.executable, "-m", "faces_jobs", "run", "--inputs-path", str(clip)]
    option = "--annotated" if annotated else "--no-annotated"
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--outputs-path", str(out), "--device", "cpu", option],
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # Popen has not seen this wait
    if status:
        raise RuntimeError(f"faces-jobs run ended with {process.returncode}")
    return Duration(time.perf_counter() - started, usage.ru_utime + usage.ru_stime)


def _job(backend: Backend, clip: Path, *, annotated: bool) -> Duration:
    """The duration from the submission and the start of the worker to the end of the job."""
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
            cpu = psutil.Process(process.pid).cpu_times()
        with database.read() as session:
            job = session.get_one(JobRow, job_id)
    if job.status is not JobStatus.SUCCEEDED or job.ended_at is None:
        raise RuntimeError(f"the job ended as {job.status}")
    # By the time in the row (same clock), which is exact, unlike the time of the poll.
    return Duration(job.ended_at - started, cpu.user + cpu.system)
