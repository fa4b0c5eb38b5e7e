"""The processes of `faces-jobs up`: how Ctrl-C and TERM end them, whenever they come."""

from __future__ import annotations

import signal
import subprocess
from typing import Any, NoReturn

import pytest

from faces_jobs.cli import supervisor
from faces_jobs.cli.supervisor import Supervisor

started: list[subprocess.Popen[bytes]] = []


class Process(subprocess.Popen[bytes]):
    """Takes the place of a role's process; a signal comes at some point of its life."""

    interrupted_at = ""
    signal_number = signal.SIGINT

    def __init__(self, _command: list[str], **options: Any) -> None:
        super().__init__(["sleep", "60"], **options)
        started.append(self)
        self._interrupt_at("start")

    def terminate(self) -> None:
        self._interrupt_at("stop")
        super().terminate()

    def _interrupt_at(self, point: str) -> None:
        if self.interrupted_at == point:
            signal.raise_signal(self.signal_number)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("point", ["start", "wait", "stop"])
def test_a_signal_leaves_no_process_behind(
    monkeypatch: pytest.MonkeyPatch, point: str, signal_number: signal.Signals
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(Process, "interrupted_at", point)
    monkeypatch.setattr(Process, "signal_number", signal_number)
    monkeypatch.setattr(supervisor, "STOP_POLL_SECONDS", 0.001)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    started.clear()
    try:
        with pytest.raises(KeyboardInterrupt), Supervisor.started(workers=1, environment={}):
            signal.raise_signal(signal_number)  # as while `demo` waits for its clip
        assert len(started) == (1 if point == "start" else 3)
        assert all(process.returncode == -signal.SIGTERM for process in started)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for process in started:
            process.kill()
            process.wait()


def test_ctrl_c_while_the_line_about_it_is_written_ends_the_wait_normally() -> None:
    def write_line() -> NoReturn:
        raise KeyboardInterrupt

    Supervisor(0, {}, lambda _pid, _code: False).wait(announce=write_line)
