"""Inside a tested web, worker or sweep process, which can be held at its start and at a point.

It reports in lines of JSON, and receives commands of one word.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faces_jobs.cli import main as faces_jobs
from faces_jobs.worker.stages import encode_runs
from tests.faults import clock
from tests.faults.points import POINTS, HeldRow, Kind

MEGABYTE = 1024 * 1024
SHORT_PART = 5  # frames, so that the clip's parts are drawn in runs like those of real videos
# The entry module of each kind of process.
CODE = {
    "web": "faces_jobs_web.server.process",
    "worker": "faces_jobs.worker.celery_worker",
    "sweep": "faces_jobs.worker.maintenance.sweep",
}


@dataclass(frozen=True, slots=True)
class Request:
    """Which process to run, and how."""

    kind: Kind
    environment: dict[str, str]
    held: bool = False
    point: str | None = None
    clock: str | None = None
    cgroup: str | None = None


class Channel:
    """The channel to the test that started this process."""

    def __init__(self, tell: int, hear: int) -> None:
        self._tell = tell
        self._hear = os.fdopen(hear, "r", encoding="utf-8")

    def tell(self, **told: Any) -> None:
        """Send a report."""
        os.write(self._tell, (json.dumps(told) + "\n").encode())

    def wait(self) -> None:
        """Block until the test says to continue."""
        word = self._hear.readline().strip()
        if word == "grow":
            grow()
        elif word != "go":
            os._exit(1)  # the test is gone


def grow() -> None:
    """Allocate until the kernel kills the process."""
    taken = []
    while True:
        taken.append(b"\x01" * MEGABYTE)


def play(request: Request, *, tell: int, hear: int) -> None:
    """Run what `faces-jobs KIND` runs, until it ends."""
    channel = Channel(tell, hear)
    encode_runs.MIN_FRAMES = SHORT_PART
    if request.clock is not None:
        clock.follow(Path(request.clock))
    if request.held:
        channel.tell(said="held")
        channel.wait()
    has_arrived = False

    def arrive(held_row: HeldRow) -> None:
        nonlocal has_arrived
        if not has_arrived:
            has_arrived = True
            channel.tell(said="at", held_row=asdict(held_row))
            channel.wait()

    for point in POINTS:
        if point.name == request.point:
            point.wrap(arrive)

    faces_jobs()
