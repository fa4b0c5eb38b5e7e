"""Private PostgreSQL and Redis servers for a test run, started from installed programs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.ports import free_port
from tests.services import TIMEOUT_SECONDS


def find_program(name: str) -> Path | None:
    """Find a program on the path, or where Debian installs PostgreSQL's (not on the path)."""
    found = shutil.which(name)
    if found:
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return versions[-1] if versions else None


class PostgresServer:
    """A server that only this run can reach, through a socket in its own folder.

    PostgreSQL refuses to run as root, and CI runs as root: there it gets another user. With
    `keeps_commits`, committed transactions survive a crash of the server.
    """

    def __init__(self, initdb: Path, folder: Path, *, keeps_commits: bool = False) -> None:
        self._program = initdb.with_name("postgres")
        self._folder = folder
        self._keeps_commits = keeps_commits
        user = _unprivileged_user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        self._user_options: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://tests@/postgres?host={folder}"
        subprocess.run(
            # Not the environment's locale: this machine may not have it, or it may be C, in which
            # the server finds no capital letters but those of ASCII.
            [initdb, "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "-N",
             "--locale", "C.UTF-8"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._user_options,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        command = [
            *(str(self._program), "-D", str(self._folder / "data")),
            *("-c", "listen_addresses="),
            *("-c", f"unix_socket_directories={self._folder}"),
            # Its data is not needed after the run, and no test simulates a power failure.
            *("-c", "fsync=off"),
            *("-c", f"synchronous_commit={'on' if self._keeps_commits else 'off'}"),
            *("-c", "full_page_writes=off"),
        ]
        log = self._folder / "log"
        with log.open("ab") as output:
            server = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._user_options,
            )
        self._process = server
        conninfo = f"host={self._folder} user=tests dbname=postgres"
        _wait_for_postgres(conninfo, server, log)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop it: TERM waits for clients to disconnect, INT doesn't, QUIT acts like a crash."""
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(TIMEOUT_SECONDS)


class RedisServer:
    """A server on a free port of this machine, without persistence."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.port = free_port()
        self._command = [str(program), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--save", "", "--dir", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers a ping."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port) as client:
            deadline = time.monotonic() + TIMEOUT_SECONDS
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert self._process.poll() is None, "redis-server ended"
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.05)

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.send_signal(with_signal)
            self._process.wait(TIMEOUT_SECONDS)


@contextmanager
def running_postgres(initdb: Path, *, keeps_commits: bool = False) -> Iterator[PostgresServer]:
    """Start a PostgreSQL server that the test may stop and start again."""
    # Neither in pytest's folders nor in TMPDIR: other users may not be allowed to read those, and
    # the path of a socket must be short.
    with tempfile.TemporaryDirectory(
        prefix="faces-jobs-pg-", dir="/tmp", ignore_cleanup_errors=True
    ) as name:
        server = PostgresServer(initdb, Path(name), keeps_commits=keeps_commits)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextmanager
def running_redis(program: Path, folder: Path) -> Iterator[RedisServer]:
    """Start a Redis server that the test may stop and start again."""
    server = RedisServer(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def private_postgres(initdb: Path) -> Iterator[str]:
    """Start a PostgreSQL server. Yields its URL."""
    with running_postgres(initdb) as server:
        yield server.url


@contextmanager
def private_redis(program: Path, folder: Path) -> Iterator[str]:
    """Start a Redis server. Yields its URL."""
    with running_redis(program, folder) as server:
        yield server.url


def _wait_for_postgres(conninfo: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("root can't run PostgreSQL, and there is no user postgres or nobody")
