"""/readyz and `faces-jobs health` report parts of the service that are stopped or restarted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.servers import find_program, private_redis
from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS, missing_service

pytestmark = pytest.mark.timeout(900)  # starts a dozen processes, on a busy machine too


class Parts:
    """Starts and stops the processes of one service by name."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "FACES_JOBS_DATA_FOLDER": str(folder / "data"),
            "FACES_JOBS_PORT": str(port),
            "FACES_JOBS_DEVICE": "cpu",
            # Fixed: measuring the best sizes in every worker would take longer than its work.
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
            # With its children: those of the web server would answer for another moment.
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
        """The parts that /readyz reports as missing; None if it does not respond."""
        try:
            response = httpx.get(f"{self.url}/readyz", timeout=TIMEOUT_SECONDS)
        except httpx.TransportError:
            return None
        if response.status_code == 200:
            return set()
        assert response.status_code == 503, response.text
        return set(response.json()["fields"])

    def wait_until_missing(self, expected: set[str]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.missing() != expected:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture
def redis_program() -> Path:
    program = find_program("redis-server")
    if program is None:
        missing_service("Redis is not installed (Debian: redis-server).")
    return program


def test_each_part_is_reported_missing_when_it_is_stopped(
    tmp_path: Path, redis_program: Path
) -> None:
    with ExitStack() as redis, ExitStack() as all_parts:
        (tmp_path / "redis").mkdir()
        broker = redis.enter_context(private_redis(redis_program, tmp_path / "redis"))
        parts = Parts(tmp_path, broker_url=broker)
        assert parts.command("db", "upgrade").returncode == 0
        all_parts.enter_context(parts.running("web"))
        worker = all_parts.enter_context(parts.running("worker"))
        sweep = all_parts.enter_context(parts.running("sweep"))
        parts.wait_until_missing(set())
        for part in ("web", "worker", "all"):
            health = parts.command("health", part)
            assert (health.returncode, health.stdout) == (0, "ok\n"), health.stderr

        worker.kill()  # it can't remove its row, which counts until its heartbeats are overdue
        parts.wait_until_missing({"worker"})
        health = parts.command("health", "worker")
        assert health.returncode == 1
        assert health.stderr.startswith("No worker on ")

        all_parts.enter_context(parts.running("worker"))
        parts.wait_until_missing(set())
        sweep.terminate()  # it removes its row as it ends
        assert sweep.wait(TIMEOUT_SECONDS) == 0
        parts.wait_until_missing({"sweep"})

        redis.close()
        parts.wait_until_missing({"sweep", "broker"})
        assert parts.command("health").stderr.startswith("broker: ")


def test_a_missing_database_is_reported(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    assert parts.command("db", "upgrade").returncode == 0
    with parts.running("web"):
        parts.wait_until_missing({"worker", "sweep"})
        (tmp_path / "data" / "faces_jobs.db").rename(tmp_path / "away.db")
        parts.wait_until_missing({"database"})
        health = parts.command("health")
        assert health.returncode == 1
        assert health.stderr.startswith("database: ")
    assert parts.command("health", "web").returncode == 1


def test_all_processes_log_json_objects_if_the_setting_says_so(tmp_path: Path) -> None:
    parts = Parts(tmp_path, log_format="json", log_level="debug")
    parts.command("db", "upgrade")
    with parts.running("web"), parts.running("worker"), parts.running("sweep"):
        parts.wait_until_missing(set())
    lines = [line for line in parts.log.read_text().splitlines() if line.strip()]
    plain = [line for line in lines if not line.startswith("{")]
    assert [line for line in plain if not line.startswith("Serving at ")] == []
    assert {json.loads(line)["level"] for line in lines if line.startswith("{")} >= {"info"}
