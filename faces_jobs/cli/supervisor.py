"""Start web, workers and sweep as child processes, restart those that die, and stop them all."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Self

from faces_jobs.cli.data_folder import make_data_folder
from faces_jobs.cli.worker_deaths import RecordDeath
from faces_jobs.errors import FacesJobsError
from faces_jobs.settings import Settings

log = logging.getLogger(__name__)

# On TERM, a worker finishes its current batch and releases its work; this bounds how long.
STOP_TIMEOUT_SECONDS = 25.0
# On a second TERM, it releases its leases and exits within 2 s.
SECOND_STOP_TIMEOUT_SECONDS = 3.0
POLL_SECONDS = 0.2
STOP_POLL_SECONDS = 0.05
# Without a delay, a process that dies at once would be restarted in a busy loop.
RESTART_DELAY_SECONDS = 1.0
MAX_RESTARTS = 5
# A process that has run for so long could start; its earlier deaths no longer count.
STABLE_SECONDS = 60.0


def prepare_database(settings: Settings) -> None:
    """Upgrade the database to this version's schema, before any process opens it."""
    from faces_jobs.db.migrate import upgrade

    make_data_folder(settings)
    upgrade(settings.database)


class ProcessDiedError(FacesJobsError):
    """A process exited, and restarting it did not help."""

    code = "process-died"


class Supervisor:
    """The processes of `faces-jobs up`. Use it as `with Supervisor.started(...)`."""

    def __init__(
        self,
        workers: int,
        environment: Mapping[str, str],
        record_death: RecordDeath,
    ) -> None:
        names = {"web": "web", **{f"worker {n + 1}": "worker" for n in range(workers)}}
        self._commands = names | {"sweep": "sweep"}
        self._environment = environment
        self._record_death = record_death
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = dict.fromkeys(self._commands, 0)
        self._started_at: dict[str, float] = {}
        self._starting = False
        self._stopping = False
        self._signals = 0

    @classmethod
    @contextmanager
    def started(
        cls,
        *,
        workers: int,
        environment: Mapping[str, str],
        record_death: RecordDeath = lambda _pid, _code: False,
    ) -> Iterator[Self]:
        """Start all processes, and stop them when the block ends, also by an error.

        `environment` is that of the processes. `record_death` is called for each worker that died,
        before it is restarted.
        """
        supervisor = cls(workers, environment, record_death)
        handled = [signal.SIGTERM]
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background jobs
            handled.append(signal.SIGINT)
        previous = {number: signal.signal(number, supervisor._on_signal) for number in handled}
        try:
            for name in supervisor._commands:
                supervisor._start(name)
            yield supervisor
        finally:
            supervisor._stop_all()
            # After a signal this process exits, too, and further ones must not interrupt that.
            if not supervisor._signals:
                for number, handler in previous.items():
                    signal.signal(number, handler)

    def wait(self, *, announce: Callable[[], None] = lambda: None) -> None:
        """Watch the processes until TERM or Ctrl-C, and restart those that die.

        `announce` may tell how to end this: Ctrl-C does so from the moment when it is called.

        Raises:
            ProcessDiedError: one of them keeps dying.
        """
        try:
            announce()
            while True:
                self.restart_dead()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            log.info("stopping")

    def restart_dead(self) -> None:
        """Restart a process that has died, if any.

        Raises:
            ProcessDiedError: a process has died too often, or web can't start.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is None:
                continue
            # A file that kills its workers is given up by itself; the others need a worker.
            work_killed_it = self._commands[name] == "worker" and self._record_death(
                process.pid, code
            )
            if work_killed_it or time.monotonic() - self._started_at[name] > STABLE_SECONDS:
                self._restarts[name] = 0
            self._restarts[name] += 1
            # Web exits with 1 or 2 if a setting is wrong or its port is in use.
            if self._restarts[name] > MAX_RESTARTS or (self._commands[name] == "web" and code > 0):
                raise ProcessDiedError(
                    f"The {name} process exited with code {code}; its last log lines say why."
                )
            log.warning("the %s process exited with code %s: restarting it", name, code)
            time.sleep(RESTART_DELAY_SECONDS)
            self._start(name)
            return

    def _start(self, name: str) -> None:
        # In sessions of their own, so that Ctrl-C reaches this process only, which then stops the
        # others in order: web first, so that nothing is accepted while workers release their work.
        self._starting = True
        try:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "faces_jobs", self._commands[name]],
                env=dict(self._environment),
                # Only Celery writes there, about a "warm shutdown". Workers log to standard error.
                stdout=subprocess.DEVNULL if self._commands[name] == "worker" else None,
                start_new_session=True,
            )
        finally:
            self._starting = False
        self._started_at[name] = time.monotonic()
        if self._signals:
            raise KeyboardInterrupt

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        """Raise `KeyboardInterrupt` at the first TERM or Ctrl-C. Later ones only count.

        An exception in the wrong place would leave processes running that nobody knows: one that
        is just being started, or all those that are not stopped yet.
        """
        first = not self._stopping
        self._stopping = True
        self._signals += 1
        if first and not self._starting:
            raise KeyboardInterrupt

    def _stop_all(self) -> None:
        """Stop all processes. After another TERM or Ctrl-C they get less time."""
        self._stopping = True
        handled = min(self._signals, 1)  # by coming here
        self._terminate_all()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self._alive() and time.monotonic() < deadline:
            time.sleep(STOP_POLL_SECONDS)
            if self._signals > handled:
                handled = self._signals
                self._terminate_all()
                deadline = min(deadline, time.monotonic() + SECOND_STOP_TIMEOUT_SECONDS)
        for name, process in self._alive().items():
            log.warning("the %s process did not stop in time: killing it", name)
            process.kill()
            process.wait()

    def _terminate_all(self) -> None:
        for process in self._alive().values():
            process.terminate()

    def _alive(self) -> dict[str, subprocess.Popen[bytes]]:
        return {
            name: process for name, process in self._processes.items() if process.poll() is None
        }
