"""Checks whether the service can work: database, broker, storage, a worker and a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from faces_jobs.db.processes import live_processes
from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError
from faces_jobs.queue.producer import Queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage

TIMEOUT_SECONDS = 4.0
PROBLEM_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "database": "The database does not answer, is read-only, or has another schema.",
        "broker": "The broker does not answer.",
        "storage": "The data folder or bucket can't be written to, or has too little space left.",
        "worker": "No worker has reported recently.",
        "sweep": "No sweep has reported recently.",
    }
)
"""Each part of the service, and the public message for when it is missing."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check. `missing` has the parts that are not available, and the reasons."""

    missing: Mapping[str, str]  # reasons may contain hosts and paths: for operators only
    messages: int | None = None  # waiting in the broker; None: it does not answer
    alive: Mapping[str, int] = field(default_factory=dict)  # number of processes of each kind


class Readiness:
    """Checks all parts concurrently, with a timeout.

    A check that hangs is not started again until it ends, however often `check` is called.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        storage: Storage,
        queue: Queue,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._alive: dict[str, int] = {}
        self._messages: int | None = None

        def check_database() -> None:
            database.check_schema()
            database.check_writable()
            alive = live_processes(database, within_seconds=settings.presence_timeout_seconds)
            kinds = [process.kind for process in alive]
            self._alive = {kind: kinds.count(kind) for kind in sorted({*kinds, "worker", "sweep"})}

        def check_broker() -> None:
            self._messages = queue.depth()

        self._checks = {
            "database": _BackgroundCheck(check_database),
            "broker": _BackgroundCheck(check_broker),
            "storage": _BackgroundCheck(storage.check_writable),
        }
        self._silent_seconds = settings.presence_timeout_seconds

    def check(self) -> Report:
        """Check all parts."""
        for check in self._checks.values():
            check.start()
        deadline = time.monotonic() + self._timeout_seconds
        missing = {}
        for name, check in self._checks.items():
            reason = check.problem(deadline)
            if reason is not None:
                missing[name] = reason
        alive: Mapping[str, int] = {}
        if "database" not in missing:
            alive = self._alive
            for kind in ("worker", "sweep"):
                if not alive[kind]:
                    missing[kind] = f"No {kind} has reported for {self._silent_seconds:g} s."
        messages = None if "broker" in missing else self._messages
        return Report(MappingProxyType(missing), messages, alive)


class _BackgroundCheck:
    """The check of one part, run in a thread of its own, one at a time."""

    def __init__(self, check: Callable[[], object]) -> None:
        self._check = check
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reason: str | None = None

    def start(self) -> None:
        """Start the check, unless it is still running."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)
                self._thread.start()

    def problem(self, deadline: float) -> str | None:
        """Wait for the check until the deadline. Returns what is wrong, or None."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return "It does not answer in time."
        return self._reason

    def _run(self) -> None:
        try:
            self._check()
        except (FacesJobsError, OSError) as error:
            self._reason = str(error)
        except Exception as error:  # noqa: BLE001 (outermost handler; returned as the reason)
            self._reason = f"{type(error).__name__}: {error}"
        else:
            self._reason = None
