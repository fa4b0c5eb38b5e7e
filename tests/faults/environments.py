"""Where runs happen: on one machine (SQLite, a folder) or on several (PostgreSQL, Redis).

A site has servers that can be killed, started and slowed; each run gets an empty environment on it.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import psycopg
import redis
from pydantic import SecretStr
from sqlalchemy import make_url

from faces_jobs.db.engine import make_engine, sqlite_path
from faces_jobs.db.migrate import upgrade
from faces_jobs.queue.producer import QUEUE_NAME
from faces_jobs.settings import Settings
from tests.faults.clock import set_ahead
from tests.faults.launched import ForkServer, fork_server
from tests.faults.proxy import Proxy
from tests.integration.servers import (
    PostgresServer,
    RedisServer,
    find_program,
    running_postgres,
    running_redis,
)

SiteName = Literal["SQLite + folder", "PostgreSQL + Redis"]
SMALL_DISK = "48m"

# Short, so that a run need not wait as long as an operator would.
QUICK: dict[str, Any] = {
    "lease_seconds": 3.0,
    "heartbeat_seconds": 0.3,
    "sweep_seconds": 0.5,
    "reconcile_seconds": 2.0,
    "ring_again_seconds": 2.0,
    "retry_seconds": 0.2,
    "retry_max_seconds": 1.0,
    "presence_seconds": 1.0,
    "webhook_seconds": 1.0,
}
ALWAYS: dict[str, Any] = {
    "device": "cpu",
    "frames_a_run": 1,  # otherwise each worker would measure the best sizes
    "crops_a_run": 16,
    "segment_seconds": 0.5,
    "batch_size": 4,
    "min_free_bytes": 1024 * 1024,
    "webhook_networks": "127.0.0.1",
    "webhook_ports": "*",
    "webhook_secret": SecretStr("whsec_" + "A" * 43 + "="),
}


class Broker(Protocol):
    """What can be done to a broker."""

    def kill(self) -> None: ...

    def start(self) -> None: ...

    def flush(self) -> None: ...

    def multiply(self, times: int) -> int:
        """Repeat every message so many times, shuffled. Returns how many there were."""


class FolderBroker:
    """The folder that serves one machine as its broker."""

    def __init__(self, data_folder: Path) -> None:
        self._folder = data_folder / "queue"
        self._gone = data_folder / "queue.gone"

    def kill(self) -> None:
        """Remove the folder, as if its disk had been unplugged."""
        self._folder.rename(self._gone)

    def start(self) -> None:
        """Bring it back; what was written in the meantime is dropped."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._gone.rename(self._folder)

    def flush(self) -> None:
        for path in (self._folder / "messages").iterdir():
            path.unlink(missing_ok=True)

    def multiply(self, times: int) -> int:
        messages = self._folder / "messages"
        texts = []
        for path in sorted(messages.glob(f"*.{QUEUE_NAME}.msg")):
            texts.append(path.read_bytes())
            path.unlink()
        for text in _shuffled(texts, times):
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex}"
            new = self._folder / "taken" / f"{name}.new"
            new.write_bytes(text)
            new.rename(messages / f"{name}.{QUEUE_NAME}.msg")
        return len(texts)


class RedisBroker:
    """A Redis server behind a proxy."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.proxy = Proxy(server.port)
        self.url = f"redis://127.0.0.1:{self.proxy.port}/0"

    def kill(self) -> None:
        self._server.stop(signal.SIGKILL)

    def start(self) -> None:
        self._server.start()

    def flush(self) -> None:
        with redis.Redis.from_url(self._server.url) as client:
            client.flushall()

    def multiply(self, times: int) -> int:
        with redis.Redis.from_url(self._server.url) as client:
            texts = client.lrange(QUEUE_NAME, 0, -1)
            client.delete(QUEUE_NAME)
            if texts:
                client.rpush(QUEUE_NAME, *_shuffled(texts, times))
            return len(texts)

    def close(self) -> None:
        self.proxy.close()


def _shuffled(texts: list[bytes], times: int) -> list[bytes]:
    many = texts * times
    random.Random(len(many)).shuffle(many)
    return many


@dataclass(frozen=True, slots=True)
class Environment:
    """What belongs to one run alone."""

    site: Site
    folder: Path
    settings: Settings
    broker: Broker
    clock: Path  # the file that moves its processes' clocks

    @property
    def log(self) -> Path:
        """The log of its processes."""
        return self.folder / "log"


class Site(ABC):
    """The servers of one kind of installation."""

    name: SiteName
    fork_server: ForkServer

    @abstractmethod
    def environment(
        self, *, settings: dict[str, Any] | None = None, small_disk: bool = False
    ) -> AbstractContextManager[Environment]:
        """An empty database and folder for one run, on request on a small disk of its own."""

    def is_writable(self, settings: Settings) -> bool:  # noqa: ARG002 (used by `OneMachine`)
        """Whether other processes can write while one is suspended."""
        return True


class OneMachine(Site):
    """SQLite and a folder."""

    name: SiteName = "SQLite + folder"

    def __init__(self, folder: Path, fork_server: ForkServer) -> None:
        self._folder = folder
        self.fork_server = fork_server
        self._template = folder / "template.db"
        upgrade(f"sqlite:///{self._template}")

    @contextmanager
    def environment(
        self, *, settings: dict[str, Any] | None = None, small_disk: bool = False
    ) -> Iterator[Environment]:
        with _folder(self._folder, small_disk=small_disk) as folder:
            shutil.copy(self._template, folder / "data" / "faces_jobs.db")
            values = Settings(data_folder=folder / "data", **ALWAYS, **(settings or QUICK))
            yield Environment(self, folder, values, FolderBroker(folder / "data"), _clock(folder))

    def is_writable(self, settings: Settings) -> bool:
        """Not if it was suspended while writing; other writers take moments only."""
        try:
            with self.locked(settings, patience_seconds=5):
                return True
        except sqlite3.OperationalError:
            return False

    @staticmethod
    @contextmanager
    def locked(settings: Settings, *, patience_seconds: float = 60) -> Iterator[None]:
        """Hold the write lock, as another process that never finishes."""
        path = sqlite_path(make_engine(settings.database).url)
        connection = sqlite3.connect(str(path), isolation_level=None, timeout=patience_seconds)
        try:
            connection.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            connection.close()


class SeveralMachines(Site):
    """PostgreSQL and Redis, private servers of this site."""

    name: SiteName = "PostgreSQL + Redis"

    def __init__(
        self, folder: Path, fork_server: ForkServer, postgres: PostgresServer, broker: RedisBroker
    ) -> None:
        self._folder = folder
        self.fork_server = fork_server
        self.postgres = postgres
        self.broker = broker
        self.sql('CREATE DATABASE "template"')
        upgrade(self._url("template"))

    @contextmanager
    def environment(
        self, *, settings: dict[str, Any] | None = None, small_disk: bool = False
    ) -> Iterator[Environment]:
        name = f"run_{uuid.uuid4().hex[:12]}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "template"')
        self.broker.flush()
        with _folder(self._folder, small_disk=small_disk) as folder:
            values = Settings(
                data_folder=folder / "data",
                database_url=self._url(name),
                broker_url=self.broker.url,
                **ALWAYS,
                **(settings or QUICK),
            )
            yield Environment(self, folder, values, self.broker, _clock(folder))
        self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def sql(self, statement: str) -> None:
        """Execute a statement as the server's operator."""
        url = make_url(self.postgres.url).set(drivername="postgresql")
        plain = url.render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement.encode())

    def _url(self, name: str) -> str:
        url = make_url(self.postgres.url).set(database=name)
        return url.render_as_string(hide_password=False)


@contextmanager
def one_machine(folder: Path) -> Iterator[OneMachine]:
    """A site without servers."""
    folder.mkdir(parents=True, exist_ok=True)
    with fork_server() as server:
        yield OneMachine(folder, server)


@contextmanager
def several_machines(folder: Path) -> Iterator[SeveralMachines]:
    """A site with private servers.

    Raises:
        FileNotFoundError: PostgreSQL or Redis is not installed.
    """
    initdb, redis_server = find_program("initdb"), find_program("redis-server")
    if initdb is None or redis_server is None:
        raise FileNotFoundError("PostgreSQL or Redis is not installed.")
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker = RedisBroker(stack.enter_context(running_redis(redis_server, folder)))
        stack.callback(broker.close)
        postgres = stack.enter_context(running_postgres(initdb, keeps_commits=True))
        yield SeveralMachines(folder, stack.enter_context(fork_server()), postgres, broker)


@contextmanager
def _folder(parent: Path, *, small_disk: bool) -> Iterator[Path]:
    folder = parent / uuid.uuid4().hex[:8]
    data = folder / "data"
    data.mkdir(parents=True)
    if small_disk:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(data)]
        subprocess.run(command, check=True, capture_output=True)
    try:
        yield folder
    finally:
        if small_disk:
            subprocess.run(["umount", "--lazy", str(data)], check=True, capture_output=True)


def _clock(folder: Path) -> Path:
    path = folder / "clock"
    set_ahead(path, 0)
    return path
