"""Private PostgreSQL and Redis servers for a test run: started from what the machine has."""

from __future__ import annotations

import os
import pwd
import shutil
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
from tests.services import PATIENCE_SECONDS


def find_program(name: str) -> Path | None:
    """A program on the path, or where Debian keeps PostgreSQL's (not on the path)."""
    found = shutil.which(name)
    if found:
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return versions[-1] if versions else None


@contextmanager
def private_postgres(initdb: Path) -> Iterator[str]:
    """Start a server that only this run can reach, by a socket in a folder of its own.

    PostgreSQL refuses to run as root, as which CI runs: it gets another user there. Yields the
    server's URL.
    """
    # Not in pytest's folders: those are closed to other users, and too long for a socket's name.
    with tempfile.TemporaryDirectory(prefix="faces-jobs-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        user = _other_user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        who: dict[str, Any] = (
            {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        )
        data = folder / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **who,
        )
        options = [
            *("-c", "listen_addresses="),
            *("-c", f"unix_socket_directories={folder}"),
            # Nothing in it outlives the run, and no test cuts the power.
            *("-c", "fsync=off"),
            *("-c", "synchronous_commit=off"),
            *("-c", "full_page_writes=off"),
        ]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [initdb.with_name("postgres"), "-D", data, *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                **who,
            )
        try:
            _wait_for_postgres(f"host={folder} user=tests dbname=postgres", server, folder / "log")
            yield f"postgresql+psycopg://tests@/postgres?host={folder}"
        finally:
            server.terminate()
            server.wait(PATIENCE_SECONDS)


@contextmanager
def private_redis(program: Path, folder: Path) -> Iterator[str]:
    """Start a Redis server on a free port of this machine. Yields its URL."""
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert server.poll() is None, "redis-server ended"
                    assert time.monotonic() < deadline, "redis-server does not answer"
                    time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(PATIENCE_SECONDS)


def _wait_for_postgres(conninfo: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            psycopg.connect(conninfo).close()
        except psycopg.OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


def _other_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("root can't run PostgreSQL, and there is no user postgres or nobody")
