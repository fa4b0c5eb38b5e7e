"""A real web, worker or sweep process of the tests, which can be held at its start and at a point.

What it tells are lines of JSON; what it waits to hear are lines of one word.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faces_jobs.cli import main as faces_jobs
from faces_jobs.worker import encode_runs
from tests.faults import clock
from tests.faults.points import POINTS, Kind, Piece

MEGABYTE = 1024 * 1024
SHORT_PART = 5  # frames: the clip's parts are to be drawn in runs, as those of real videos are
# Where the code of each kind of process begins.
CODE = {
    "web": "faces_jobs_web.server",
    "worker": "faces_jobs.worker.celery_worker",
    "sweep": "faces_jobs.worker.sweep",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What a process is to be."""

    kind: Kind
    environment: dict[str, str]
    held: bool = False
    point: str | None = None
    clock: str | None = None
    cgroup: str | None = None


class Line:
    """The line to who started this process."""

    def __init__(self, tell: int, hear: int) -> None:
        self._tell = tell
        self._hear = os.fdopen(hear, "r", encoding="utf-8")

    def tell(self, **told: Any) -> None:
        """Say something."""
        os.write(self._tell, (json.dumps(told) + "\n").encode())

    def wait(self) -> None:
        """Do nothing until told to go on."""
        word = self._hear.readline().strip()
        if word == "grow":
            grow()
        elif word != "go":
            os._exit(1)  # nobody is there any more


def grow() -> None:
    """Take more memory than there is: the kernel ends the process."""
    taken = []
    while True:
        taken.append(b"\x01" * MEGABYTE)


def play(request: Request, *, tell: int, hear: int) -> None:
    """Be one process until it is ended: what `faces-jobs KIND` is."""
    line = Line(tell, hear)
    encode_runs.MIN_FRAMES = SHORT_PART
    if request.clock is not None:
        clock.follow(Path(request.clock))
    if request.held:
        line.tell(said="held")
        line.wait()
    been = False

    def arrive(piece: Piece) -> None:
        nonlocal been
        if not been:
            been = True
            line.tell(said="at", piece=asdict(piece))
            line.wait()

    for point in POINTS:
        if point.name == request.point:
            point.wrap(arrive)

    faces_jobs()
