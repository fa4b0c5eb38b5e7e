"""What the queue costs: a clip as a job of one worker, against `faces-jobs run` on it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.db.session import open_database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue import open_queue
from faces_jobs.results import get_job
from faces_jobs.storage import open_storage
from faces_jobs.submit import submit_files
from tests.bench_jobs.backends import Backend, running

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class OverheadFigures:
    """Seconds of both, the fastest of the rounds, networks loaded before in neither."""

    annotated: bool
    run_seconds: float
    job_seconds: float
    job_uncut_seconds: float

    @property
    def percent(self) -> float:
        """What the job takes longer, in percent of the run."""
        return (self.job_seconds / self.run_seconds - 1) * 100

    @property
    def percent_uncut(self) -> float:
        """The same where the video is not cut into segments."""
        return (self.job_uncut_seconds / self.run_seconds - 1) * 100


def measure_overhead(
    cut: Backend, uncut: Backend, clip: Path, folder: Path, *, annotated: bool, rounds: int
) -> OverheadFigures:
    """Take turns, so that what else the machine does falls on all of them."""
    runs, jobs, whole = [], [], []
    for number in range(rounds):
        runs.append(_run(clip, folder / f"out-{annotated}-{number}", annotated=annotated))
        jobs.append(_job(cut, clip, annotated=annotated))
        whole.append(_job(uncut, clip, annotated=annotated))
    return OverheadFigures(annotated, min(runs), min(jobs), min(whole))


def _run(clip: Path, out: Path, *, annotated: bool) -> float:
    command = [sys.executable, "-m", "faces_jobs", "run", "--inputs-path", str(clip)]
    option = "--annotated" if annotated else "--no-annotated"
    started = time.perf_counter()
    subprocess.run(
        [*command, "--outputs-path", str(out), "--device", "cpu", option],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def _job(backend: Backend, clip: Path, *, annotated: bool) -> float:
    """From the start of a worker to the end state: `run` starts a process, too."""
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
        with running(backend, "worker"):
            while not get_job(database, job_id).status.ended:
                time.sleep(POLL_SECONDS)
            spent = time.perf_counter() - started
        with database.read() as session:
            status = session.get_one(JobRow, job_id).status
    if status != "succeeded":
        raise RuntimeError(f"the job ended {status}")
    return spent
