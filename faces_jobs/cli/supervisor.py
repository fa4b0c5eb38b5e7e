"""Starts web, workers and sweep as processes of this machine, keeps them up and ends them."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Self

from faces_jobs.cli.worker_deaths import RecordDeath
from faces_jobs.errors import FacesJobsError
from faces_jobs.settings import Settings

log = logging.getLogger(__name__)

# A worker hands its work back on TERM after the batch in hand; this is the most it may take.
STOP_TIMEOUT_SECONDS = 25.0
# Told a second time, it releases its leases and ends within 2 s.
SECOND_STOP_TIMEOUT_SECONDS = 3.0
POLL_SECONDS = 0.2
# A process that dies at once would otherwise be started in a loop that eats a core.
RESTART_DELAY_SECONDS = 1.0
MAX_RESTARTS = 5


def prepare_database(settings: Settings) -> None:
    """Bring the database to this version's schema before any process opens it."""
    from faces_jobs.db.migrate import upgrade

    settings.data_folder.mkdir(parents=True, exist_ok=True)
    upgrade(settings.database)


class ProcessDiedError(FacesJobsError):
    """A process ended by itself, and starting it again did not help."""

    code = "process-died"


class Supervisor:
    """The processes of `faces-jobs up`. Open it with `with Supervisor.started(...)`."""

    def __init__(
        self,
        workers: int,
        environment: Mapping[str, str] | None,
        record_death: RecordDeath = lambda _pid, _code: None,
    ) -> None:
        names = {"web": "web", **{f"worker {n + 1}": "worker" for n in range(workers)}}
        self._commands = names | {"sweep": "sweep"}
        self._environment = environment
        self._record_death = record_death
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._restarts = dict.fromkeys(self._commands, 0)
        self._told_to_stop = False
        self._signals = 0

    @classmethod
    @contextmanager
    def started(
        cls,
        *,
        workers: int,
        environment: Mapping[str, str] | None = None,
        record_death: RecordDeath = lambda _pid, _code: None,
    ) -> Iterator[Self]:
        """Start all processes; end them all on the way out, whatever ended the block.

        `environment` replaces this process's own; it is how the demo hands its settings down.
        `record_death` is called for each worker that died, before it is started again.
        """
        supervisor = cls(workers, environment, record_death)
        previous = signal.signal(signal.SIGTERM, supervisor._stop)
        try:
            for name in supervisor._commands:
                supervisor._start(name)
            yield supervisor
        finally:
            supervisor._end_all()
            if not supervisor._signals:  # else this process ends, too: told again, it just does
                signal.signal(signal.SIGTERM, previous)

    def wait(self) -> None:
        """Watch the processes until TERM or Ctrl-C; start again what died.

        Raises:
            ProcessDiedError: one of them keeps dying.
        """
        try:
            while not self._told_to_stop:
                self.restart_dead()
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            log.info("stopping")

    def restart_dead(self) -> None:
        """Start again any process that has died.

        Raises:
            ProcessDiedError: it has died too often.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is None or self._told_to_stop:
                continue
            if self._commands[name] == "worker":
                self._record_death(process.pid, code)
            self._restarts[name] += 1
            # Web and sweep end with 1 or 2 when a setting is wrong or the port is taken.
            if self._restarts[name] > MAX_RESTARTS or (self._commands[name] == "web" and code > 0):
                raise ProcessDiedError(
                    f"The {name} process ended with exit code {code}; its last lines say why."
                )
            log.warning("the %s process ended with exit code %s: starting it again", name, code)
            time.sleep(RESTART_DELAY_SECONDS)
            self._start(name)
            return

    def _start(self, name: str) -> None:
        # A session of its own: a Ctrl-C reaches this process alone, which then ends the others
        # in order, web first, so that nothing new is accepted while workers hand back.
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "faces_jobs", self._commands[name]],
            env=dict(self._environment) if self._environment is not None else None,
            # Only Celery writes there, of a "warm shutdown"; what workers say goes to their logs.
            stdout=subprocess.DEVNULL if self._commands[name] == "worker" else None,
            start_new_session=True,
        )

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True
        self._signals += 1

    def _end_all(self) -> None:
        """End all processes: each may hand back first; told again, each ends at once."""
        self._told_to_stop = True
        heard = self._signals
        self._tell_all()
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self._alive() and time.monotonic() < deadline:
            try:
                time.sleep(POLL_SECONDS / 4)
            except KeyboardInterrupt:
                self._signals += 1
            if self._signals > heard:
                heard = self._signals
                self._tell_all()
                deadline = min(deadline, time.monotonic() + SECOND_STOP_TIMEOUT_SECONDS)
        for name, process in self._alive().items():
            log.warning("the %s process did not end in time: killed", name)
            process.kill()
            process.wait()

    def _tell_all(self) -> None:
        for process in self._alive().values():
            process.terminate()

    def _alive(self) -> dict[str, subprocess.Popen[bytes]]:
        return {name: one for name, one in self._processes.items() if one.poll() is None}
