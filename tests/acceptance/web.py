"""Starts the web server alone, as a user does: `faces-jobs web` in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from faces_jobs.client.api import Client
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS


class RunningWeb:
    """A running `faces-jobs web`, its data folder and its log."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data: Path, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.data = data
        self.log = log

    def uploads(self) -> list[Path]:
        """All stored uploads, including those that are still being received."""
        folders = ("files/incoming", "files/jobs")
        found = [path for name in folders for path in (self.data / name).rglob("*")]
        return [path for path in found if path.is_file()]

    def wait_until_uploads_are_removed(self) -> None:
        """Wait until no file of a refused upload is left."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.uploads():
            assert time.monotonic() < deadline, self.uploads()
            time.sleep(0.05)

    def peak_memory_bytes(self) -> int:
        """The peak resident memory of the process that handles requests, in bytes."""
        (worker,) = psutil.Process(self.process.pid).children()
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii")
        return next(
            int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")
        )


@contextmanager
def running_web(folder: Path, template: Path | None, **variables: str) -> Iterator[RunningWeb]:
    """Start `faces-jobs web` on a copy of the database `template`.

    With None there is no database, and the server is not waited for.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    if template is not None:
        shutil.copy(template, data / "faces_jobs.db")
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "FACES_JOBS_DATA_FOLDER": str(data),
        "FACES_JOBS_PORT": str(port),
        "FACES_JOBS_WEB_THREADS": "2",
        **{f"FACES_JOBS_{name.upper()}": value for name, value in variables.items()},
    }
    log = folder / "web.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "faces_jobs", "web"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    web = RunningWeb(process, port, data, log)
    try:
        if template is not None:
            with Client(web.url) as client:
                deadline = time.monotonic() + TIMEOUT_SECONDS
                while not client.is_up():
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
        yield web
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(TIMEOUT_SECONDS)
