"""Measures the queue's overhead: a clip as a job of one worker, and with `faces-jobs run`."""

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
from faces_jobs.queue.producer import open_queue
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.bench_jobs.backends import Backend, running, status_of

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Duration:
    """Wall-clock time, and CPU time, which is reliable on a busy machine as well."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """The duration of one way, and by how much it exceeds that of `faces-jobs run`."""

    way: str
    seconds: float
    cpu_seconds: float
    percent: float
    cpu_percent: float


def measure_overhead(
    cut: Backend, uncut: Backend, clip: Path, folder: Path, *, annotated: bool, rounds: int
) -> list[OverheadFigures]:
    """Run all ways in each round; return the medians of their durations and overheads.

    The overhead is computed within each round, since a machine's speed varies by some percent from
    minute to minute. For the same reason the order rotates.

    Each way starts a process that loads the networks. `cut` has default settings; in `uncut` the
    video is one segment, which shows the cost of cutting it.
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
            seconds=median(round_[way].seconds for round_ in durations),
            cpu_seconds=median(round_[way].cpu_seconds for round_ in durations),
            percent=median(
                _percent_more(round_[way].seconds, round_["run"].seconds) for round_ in durations
            ),
            cpu_percent=median(
                _percent_more(round_[way].cpu_seconds, round_["run"].cpu_seconds)
                for round_ in durations
            ),
        )
        for way in names
    ]


def _percent_more(seconds: float, baseline: float) -> float:
    return (seconds / baseline - 1) * 100


def _run(clip: Path, out: Path, *, annotated: bool) -> Duration:
    command = [sys.executable, "-m", "faces_jobs", "run", "--inputs-path", str(clip)]
    option = "--annotated" if annotated else "--no-annotated"
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--outputs-path", str(out), "--device", "cpu", option],
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # Popen does not know of `wait4`
    if status:
        raise RuntimeError(f"faces-jobs run exited with {process.returncode}")
    return Duration(time.perf_counter() - started, used.ru_utime + used.ru_stime)


def _job(backend: Backend, clip: Path, *, annotated: bool) -> Duration:
    """Measure from the submission, just before the worker's start, to the end state."""
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
    # The end is read from the row, which has this machine's time, and not from the last poll.
    return Duration(job.ended_at - started, used.user + used.system)
