"""The processes of a run, seen from the test: started, released from their point, and signalled."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.faults.child import Request
from tests.faults.points import HeldRow, Kind, Point
from tests.services import TIMEOUT_SECONDS


class NotInTimeError(Exception):
    """An expected event did not happen in time."""


class ForkServer:
    """A client of the fork server; see `tests.faults.fork_server`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lock = threading.Lock()

    def spawn(self, request: Request, descriptors: list[int]) -> int:
        """Fork a process and return its id."""
        with self._lock:
            socket.send_fds(self._control, [json.dumps(asdict(request)).encode()], descriptors)
            return int(self._control.recv(64))


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """Start a fork server; the processes it has forked end with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.fork_server", "--control", str(theirs.fileno())],
            env={
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join(sys.path),  # the tested code, wherever it lies
                "OMP_NUM_THREADS": "1",
            },
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            yield ForkServer(ours)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            process.wait(TIMEOUT_SECONDS)


class Actor:
    """One process as a context manager, which kills it if it is still running at the end."""

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        log: Path,
        *,
        fork_server: ForkServer,
        point: Point | None = None,
        held: bool = False,
        clock: Path | None = None,
        cgroup: Path | None = None,
    ) -> None:
        self.kind = kind
        self.held = held
        request = Request(
            kind=kind,
            environment=_environment(settings, log.parent),
            held=held,
            point=point.name if point else None,
            clock=str(clock) if clock else None,
            cgroup=str(cgroup) if cgroup else None,
        )
        self._told, tell = os.pipe()
        hear, self._say = os.pipe()
        self._ended, code = os.pipe()
        given = [tell, hear, code, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
        self._pid = fork_server.spawn(request, given)
        for descriptor in given:
            os.close(descriptor)
        self._code: int | None = None
        self._rest = b""

    def wait_for(self, said: str) -> dict[str, Any]:
        """Wait until the process reports this; earlier reports are skipped.

        Raises:
            NotInTimeError: it did not report it in time, or it ended.
        """
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                told: dict[str, Any] = json.loads(line)
                if told["said"] == said:
                    return told
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(self._told, left):
                raise NotInTimeError(f"the {self.kind} process never reported {said!r}")
            data = os.read(self._told, 4096)
            if not data:
                raise NotInTimeError(f"the {self.kind} process ended before it reported {said!r}")
            self._rest += data

    def wait_at_point(self) -> HeldRow:
        """Wait until it reaches its point, and return the row that it holds there."""
        return HeldRow(**self.wait_for("at")["held_row"])

    def go(self, word: str = "go") -> None:
        """Let it continue."""
        self.held = False
        try:
            os.write(self._say, f"{word}\n".encode())
        except BrokenPipeError:
            return  # it has ended in the meantime

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        if self.alive:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self._pid, number)

    def freeze(self) -> None:
        """Suspend it, and wait until each of its threads is stopped.

        A thread inside a system call, such as one for a file lock, completes that call first.
        """
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not all(_is_stopped(task) for task in Path(f"/proc/{self._pid}/task").iterdir()):
            if time.monotonic() > deadline:
                raise NotInTimeError(f"the {self.kind} process is not suspended")
            time.sleep(0.01)

    def wait(self, seconds: float = TIMEOUT_SECONDS) -> int:
        """Wait for its end and return its exit code, negative if it was killed.

        Raises:
            NotInTimeError: it does not end in time.
        """
        if self._code is None:
            if not _readable(self._ended, seconds):
                raise NotInTimeError(f"the {self.kind} process does not end")
            told = os.read(self._ended, 64)
            if not told:
                raise NotInTimeError("the fork server has ended")
            self._code = int(told)
        return self._code

    @property
    def alive(self) -> bool:
        """Whether the process is still running."""
        return self._code is None and not _readable(self._ended, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.send(signal.SIGKILL)
        self.wait()
        for descriptor in (self._told, self._say, self._ended):
            os.close(descriptor)


def _environment(settings: Settings, home: Path) -> dict[str, str]:
    """The environment variables that a user would set for these settings, and nothing else."""
    given = settings.model_dump(exclude_unset=True)
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        **{
            f"{ENVIRONMENT_PREFIX}{name.upper()}": (
                value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            )
            for name, value in given.items()
        },
    }


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether data arrives within this time. (`select` cannot take descriptors above 1023.)"""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _is_stopped(task: Path) -> bool:
    """Whether a thread is stopped. Its state follows its name, which is in parentheses."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except FileNotFoundError:  # it has just ended
        return True
