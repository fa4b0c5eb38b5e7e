"""Starts the processes of a run, tells them to go on, and strikes them."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import SecretStr

from faces_jobs.settings import ENVIRONMENT_PREFIX, Settings
from tests.faults.points import Kind, Piece, Point

PATIENCE_SECONDS = 60.0


class NotInTimeError(Exception):
    """Something that was waited for did not come to be."""


class Actor:
    """One process, `with` it open: killed at the end if it has not ended by itself."""

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        log: Path,
        *,
        point: Point | None = None,
        held: bool = False,
        clock: Path | None = None,
        cgroup: Path | None = None,
    ) -> None:
        self.kind = kind
        self.held = held
        hear_told, tell = os.pipe()
        hear, say = os.pipe()
        command = [sys.executable, "-m", "tests.faults.process", kind]
        command += ["--tell", str(tell), "--hear", str(hear)]
        command += ["--held"] if held else []
        command += ["--point", point.name] if point else []
        command += ["--clock", str(clock)] if clock else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                _inside(cgroup, command),
                env=_environment(settings, log.parent),
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(tell, hear),
                start_new_session=True,  # gunicorn's processes are struck together
            )
        os.close(tell)
        os.close(hear)
        self._told, self._say, self._rest = hear_told, say, b""
        self._listening = select.poll()  # whatever the number: `select` ends at 1024
        self._listening.register(hear_told, select.POLLIN)

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
            if left <= 0 or not self._listening.poll(left * 1000):
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
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def wait(self) -> int:
        """Wait for its end. Its exit code; of one that was killed, less than nought.

        Raises:
            NotInTimeError: it does not end.
        """
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            raise NotInTimeError(f"the {self.kind} process does not end") from None

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.send(signal.SIGKILL)
        self._process.wait()
        os.close(self._told)
        os.close(self._say)


def _environment(settings: Settings, home: Path) -> dict[str, str]:
    """What a user would set for these settings, and nothing else."""
    given = settings.model_dump(exclude_unset=True)
    return {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),  # the code that is tested, wherever it lies
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
        **{
            f"{ENVIRONMENT_PREFIX}{name.upper()}": (
                value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            )
            for name, value in given.items()
        },
    }


def _inside(cgroup: Path | None, command: Sequence[str]) -> list[str]:
    """A command that joins a control group before it begins."""
    if cgroup is None:
        return list(command)
    script = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    return ["/bin/sh", "-c", script, str(cgroup), *command]
