"""/readyz and `faces-jobs health` tell the truth: parts are stopped, missed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.servers import find_program, private_redis
from tests.ports import free_port
from tests.services import PATIENCE_SECONDS, missing_service

pytestmark = pytest.mark.timeout(900)  # a dozen processes start, also on a busy machine


class Parts:
    """Processes of one service, each started and ended by name."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "FACES_JOBS_DATA_FOLDER": str(folder / "data"),
            "FACES_JOBS_PORT": str(port),
            "FACES_JOBS_DEVICE": "cpu",
            # Hundreds of workers would measure what is best for runs that last a second.
            "FACES_JOBS_FRAMES_A_RUN": "1",
            "FACES_JOBS_CROPS_A_RUN": "16",
            "FACES_JOBS_PRESENCE_SECONDS": "2",
            **{f"FACES_JOBS_{name.upper()}": value for name, value in variables.items()},
        }
        self.log = folder / "parts.log"

    @contextmanager
    def running(self, part: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "faces_jobs", part],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            # With those it started: the web's would go on answering for a moment.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "faces_jobs", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def missing(self) -> set[str] | None:
        """What /readyz misses; None: it does not answer."""
        try:
            answer = httpx.get(f"{self.url}/readyz", timeout=PATIENCE_SECONDS)
        except httpx.TransportError:
            return None
        if answer.status_code == 200:
            return set()
        assert answer.status_code == 503, answer.text
        return set(answer.json()["fields"])

    def wait_for(self, missing: set[str]) -> None:
        def is_so() -> bool:
            return self.missing() == missing

        wait_until(is_so, self.log)


def wait_until(is_so: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture
def redis_program() -> Path:
    program = find_program("redis-server")
    if program is None:
        missing_service("Redis is not installed (Debian: redis-server).")
    return program


def test_each_part_is_missed_when_it_is_stopped(tmp_path: Path, redis_program: Path) -> None:
    with ExitStack() as redis, ExitStack() as all_parts:
        (tmp_path / "redis").mkdir()
        broker = redis.enter_context(private_redis(redis_program, tmp_path / "redis"))
        parts = Parts(tmp_path, broker_url=broker)
        assert parts.command("db", "upgrade").returncode == 0
        all_parts.enter_context(parts.running("web"))
        worker = all_parts.enter_context(parts.running("worker"))
        sweep = all_parts.enter_context(parts.running("sweep"))
        parts.wait_for(set())
        for part in ("web", "worker", "all"):
            told = parts.command("health", part)
            assert (told.returncode, told.stdout) == (0, "ok\n"), told.stderr

        worker.kill()  # without a word: its row stays until it is silent for too long
        parts.wait_for({"worker"})
        told = parts.command("health", "worker")
        assert told.returncode == 1
        assert told.stderr.startswith("No worker on ")

        all_parts.enter_context(parts.running("worker"))
        parts.wait_for(set())
        sweep.terminate()  # in order: its row goes with it
        assert sweep.wait(PATIENCE_SECONDS) == 0
        parts.wait_for({"sweep"})

        redis.close()
        parts.wait_for({"sweep", "broker"})
        assert parts.command("health").stderr.startswith("broker: ")


def test_a_database_that_is_gone_is_missed_and_told(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.command("db", "upgrade").returncode == 0
    with parts.running("web"):
        parts.wait_for({"worker", "sweep"})
        (tmp_path / "data" / "faces_jobs.db").rename(tmp_path / "away.db")
        parts.wait_for({"database"})
        told = parts.command("health")
        assert told.returncode == 1
        assert told.stderr.startswith("database: ")
    assert parts.command("health", "web").returncode == 1


def test_the_logs_of_all_processes_are_objects_where_that_is_asked_for(tmp_path: Path) -> None:
    parts = Parts(tmp_path, log_format="json", log_level="debug")
    parts.command("db", "upgrade")
    with parts.running("web"), parts.running("worker"), parts.running("sweep"):
        parts.wait_for(set())
    lines = [line for line in parts.log.read_text().splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith("{")]
    assert [line for line in plain if not line.startswith("Serving at ")] == []
    assert {json.loads(line)["level"] for line in lines if line.startswith("{")} >= {"info"}
