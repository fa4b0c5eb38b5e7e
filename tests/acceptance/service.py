"""Starts the whole service as a user does: `faces-jobs up` in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.client.api import Client
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service that accepts requests, and the environment for commands that use it."""

    url: str
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def faces_jobs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `faces-jobs` command as a user of this service would."""
        return subprocess.run(
            [sys.executable, "-m", "faces_jobs", *arguments],
            env=dict(self.environment),
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def running_service(folder: Path, *arguments: str, **variables: str) -> Iterator[RunningService]:
    """Start `faces-jobs up` with its data below `folder`; stop it with SIGTERM at the end."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "FACES_JOBS_DATA_FOLDER": str(folder / "data"),
        "FACES_JOBS_PORT": str(port),
        "FACES_JOBS_DEVICE": "cpu",
        # Fixed: measuring the best sizes in every worker would take longer than its work.
        "FACES_JOBS_FRAMES_A_RUN": "1",
        "FACES_JOBS_CROPS_A_RUN": "16",
        **{f"FACES_JOBS_{name.upper()}": value for name, value in variables.items()},
    }
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "faces_jobs", "up", *arguments],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        with Client(url) as client:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while not client.is_up():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
        yield RunningService(url, environment, process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
