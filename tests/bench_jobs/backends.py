"""The two backends that are measured, each with fresh stores that are deleted afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from faces_jobs.client.api import Client
from faces_jobs.db.migrate import upgrade
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.status import JobStatus
from faces_jobs.settings import Settings
from tests.integration.servers import find_program, private_postgres, private_redis
from tests.ports import free_port

START_SECONDS = 60
STOP_SECONDS = 40
SQLITE = "SQLite, folder"
POSTGRES = "PostgreSQL, Redis"
BACKENDS = (SQLITE, POSTGRES)


@dataclass(frozen=True, slots=True)
class Backend:
    """Running stores, and the environment of processes that use them."""

    name: str
    settings: Settings
    environment: Mapping[str, str]

    def process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of faces-jobs; its log is in the data folder."""
        with (self.settings.data_folder / f"{arguments[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "faces_jobs", *arguments],
                env=dict(self.environment),
                stdout=log,
                stderr=subprocess.STDOUT,
            )


class MissingServerError(Exception):
    """A server that a backend needs is not installed. The message says which."""


def status_of(database: Database, job_id: str) -> JobStatus:
    """Return a job's status, as cheaply as possible: polling takes time from what is measured."""
    with database.read() as session:
        return session.get_one(JobRow, job_id).status


@contextmanager
def open_backend(name: str, **values: str) -> Iterator[Backend]:
    """Start fresh stores of one kind; `values` are further settings.

    Raises:
        MissingServerError: a server that they need is not installed.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faces-jobs-bench-")))
        given = {
            "data_folder": str(folder),
            "device": "cpu",
            "port": str(free_port()),
            "max_queued_jobs": "0",
            **values,
        }
        if name == POSTGRES:
            given["database_url"] = stack.enter_context(_postgres())
            given["broker_url"] = stack.enter_context(_redis(folder))
        variables = {f"FACES_JOBS_{setting.upper()}": value for setting, value in given.items()}
        settings = Settings.from_environment(variables)
        upgrade(settings.database)
        environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **variables,
        }
        yield Backend(name, settings, environment)


@contextmanager
def web_of(backend: Backend) -> Iterator[str]:
    """Run the web server; yields its URL once it responds."""
    url = backend.settings.server
    with running(backend, "web") as process, Client(url) as client:
        deadline = time.monotonic() + START_SECONDS
        while not client.is_up():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((backend.settings.data_folder / "web.log").read_text())
            time.sleep(0.05)
        yield url


@contextmanager
def running(backend: Backend, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of the service, which is terminated on exit."""
    process = backend.process(*arguments)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def _postgres() -> Iterator[str]:
    initdb = find_program("initdb")
    if initdb is None:
        raise MissingServerError("PostgreSQL is not installed (Debian: postgresql)")
    with private_postgres(initdb) as url:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("CREATE DATABASE bench")
        yield url.replace("/postgres?", "/bench?")


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    program = find_program("redis-server")
    if program is None:
        raise MissingServerError("Redis is not installed (Debian: redis-server)")
    with private_redis(program, folder) as url:
        yield url
