"""A real web, worker or sweep process of the tests, which can be held at its start and at a point.

    python -m tests.faults.process worker --tell 7 --hear 8 --held --point encode

What it says on `--tell` are lines of JSON; what it waits for on `--hear` are lines of one word.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from celery import signals

from faces_jobs.cli import main as faces_jobs
from tests.faults import clock
from tests.faults.points import POINTS, Piece

MEGABYTE = 1024 * 1024
# What a kind of process loads before it says that it is held, so that it begins at once later.
CODE = {
    "web": "faces_jobs_web.server",
    "worker": "faces_jobs.worker.celery_worker",
    "sweep": "faces_jobs.worker.sweep",
}


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


def main() -> None:
    """Be one process until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["web", "worker", "sweep"])
    parser.add_argument("--tell", type=int, required=True)
    parser.add_argument("--hear", type=int, required=True)
    parser.add_argument("--held", action="store_true")
    parser.add_argument("--point")
    parser.add_argument("--clock", type=Path)
    given = parser.parse_args()
    line = Line(given.tell, given.hear)
    importlib.import_module(CODE[given.kind])
    if given.clock is not None:
        clock.follow(given.clock)
    if given.held:
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
        if point.name == given.point:
            point.wrap(arrive)

    def ready(**_details: Any) -> None:
        line.tell(said="ready")

    signals.worker_ready.connect(ready, weak=False)
    sys.argv = ["faces-jobs", given.kind]
    faces_jobs()


if __name__ == "__main__":
    main()
