"""Starts the processes of a run, tells them to go on, and strikes them."""

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
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.faults.points import Kind, Piece, Point
from tests.faults.process import Request
from tests.services import PATIENCE_SECONDS


class NotInTimeError(Exception):
    """Something that was waited for did not come to be."""


class Nursery:
    """Where processes come from; see `tests.faults.nursery`."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._asking = threading.Lock()

    def ask(self, request: Request, descriptors: list[int]) -> int:
        """Have a process; its number."""
        with self._asking:
            socket.send_fds(self._control, [json.dumps(asdict(request)).encode()], descriptors)
            return int(self._control.recv(64))


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Start a nursery; what it has brought forth ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery", "--control", str(theirs.fileno())],
            env={
                "PATH": os.defpath,
                "PYTHONPATH": os.pathsep.join(sys.path),  # the tested code, wherever it lies
                "OMP_NUM_THREADS": "1",
            },
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        try:
            yield Nursery(ours)
        finally:
            ours.shutdown(socket.SHUT_RDWR)
            process.wait(PATIENCE_SECONDS)


class Actor:
    """One process, `with` it open: killed at the end if it has not ended by itself."""

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        log: Path,
        *,
        nursery: Nursery,
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
        self._pid = nursery.ask(request, given)
        for descriptor in given:
            os.close(descriptor)
        self._code: int | None = None
        self._rest = b""

    def wait_for(self, said: str) -> dict[str, Any]:
        """Wait until it says so; what it says before is passed over.

        Raises:
            NotInTimeError: it does not, or it ended.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                told: dict[str, Any] = json.loads(line)
                if told["said"] == said:
                    return told
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(self._told, left):
                raise NotInTimeError(f"the {self.kind} process never said {said!r}")
            data = os.read(self._told, 4096)
            if not data:
                raise NotInTimeError(f"the {self.kind} process ended before it said {said!r}")
            self._rest += data

    def wait_at_point(self) -> Piece:
        """Wait until it stands at its point; what it has in hand there."""
        return Piece(**self.wait_for("at")["piece"])

    def go(self, word: str = "go") -> None:
        """Let it go on."""
        self.held = False
        try:
            os.write(self._say, f"{word}\n".encode())
        except BrokenPipeError:
            return  # it has ended meanwhile

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it, and to the processes that it started."""
        if self.alive:
            with suppress(ProcessLookupError):  # it ended in this very moment
                os.killpg(self._pid, number)

    def freeze(self) -> None:
        """Stop it, and wait until each of its threads stands still.

        One that is in a call of the kernel, as for a file's lock, ends that call first.
        """
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(_stands_still(task) for task in Path(f"/proc/{self._pid}/task").iterdir()):
            if time.monotonic() > deadline:
                raise NotInTimeError(f"the {self.kind} process does not stand still")
            time.sleep(0.01)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for its end. Its exit code; of one that was killed, less than nought.

        Raises:
            NotInTimeError: it does not end.
        """
        if self._code is None:
            if not _readable(self._ended, seconds):
                raise NotInTimeError(f"the {self.kind} process does not end")
            told = os.read(self._ended, 64)
            if not told:
                raise NotInTimeError("the nursery has ended")
            self._code = int(told)
        return self._code

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._code is None and not _readable(self._ended, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.send(signal.SIGKILL)
        self.wait()
        for descriptor in (self._told, self._say, self._ended):
            os.close(descriptor)


def _environment(settings: Settings, home: Path) -> dict[str, str]:
    """What a user would set for these settings, and nothing else."""
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
    """Whether there is something to read within this time. (`select` ends at number 1024.)"""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(seconds * 1000))


def _stands_still(task: Path) -> bool:
    """Whether a thread is stopped; the state comes behind the name, which is in brackets."""
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except FileNotFoundError:  # it ended in this very moment
        return True
