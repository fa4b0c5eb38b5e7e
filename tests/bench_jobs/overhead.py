"""What the queue costs: a clip as a job of one worker, against `faces-jobs run` on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from faces_jobs.db.session import open_database
from faces_jobs.jobs.spec import JobSpec
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
    """The fastest of the rounds of each way, in turns: what else is done falls on all of them.

    Each way starts a process that loads the networks. `cut` is the service as it comes; in
    `uncut` the video is one segment, which tells what cutting it costs.
    """
    took: dict[str, list[Took]] = {}
    for number in range(rounds):
        out = folder / f"out-{annotated}-{number}"
        took.setdefault("run", []).append(_run(clip, out, annotated=annotated))
        took.setdefault("job", []).append(_job(cut, clip, annotated=annotated))
        took.setdefault("job, not cut", []).append(_job(uncut, clip, annotated=annotated))
    seconds = {way: min(one.seconds for one in all_) for way, all_ in took.items()}
    cpu = {way: min(one.cpu_seconds for one in all_) for way, all_ in took.items()}
    return [
        OverheadFigures(
            way=f"{way}, {'annotated' if annotated else 'attributes only'}",
            seconds=seconds[way],
            cpu_seconds=cpu[way],
            percent=(seconds[way] / seconds["run"] - 1) * 100,
            cpu_percent=(cpu[way] / cpu["run"] - 1) * 100,
        )
        for way in took
    ]


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
        started = time.perf_counter()
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
            seconds = time.perf_counter() - started
            used = psutil.Process(process.pid).cpu_times()
        status = status_of(database, job_id)
    if status != "succeeded":
        raise RuntimeError(f"the job ended {status}")
    return Took(seconds, used.user + used.system)
