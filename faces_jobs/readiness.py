"""Whether the whole service can work: database, broker, storage, a worker, a sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from faces_jobs.db.processes import live_processes
from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError
from faces_jobs.queue import Queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage

# What does not answer within this time does not answer.
TIMEOUT_SECONDS = 4.0
PROBLEM_MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "database": "The database does not answer, or has another schema than this version.",
        "broker": "The broker does not answer.",
        "storage": "Data folder or bucket can't be written to, or has too little room left.",
        "worker": "No worker told lately that it lives.",
        "sweep": "No sweep told lately that it lives.",
    }
)
"""Each part, and what is said of it where it is missing."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. `missing` names the parts that keep the service from working, and why."""

    missing: Mapping[str, str]  # the reason may name hosts and paths: for who runs the service
    messages: int | None = None  # that wait in the broker; None: it does not answer
    alive: Mapping[str, int] = field(default_factory=dict)  # processes of each kind


class Readiness:
    """Looks at each part, at all of them at once, and waits for none of them for ever.

    A part that hangs is asked once and not again until it answers, however often one looks.
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
        self._patience_seconds = timeout_seconds
        self._alive: dict[str, int] = {}
        self._messages: int | None = None

        def look_at_database() -> None:
            database.check_schema()
            found = live_processes(database, within_seconds=settings.silent_seconds)
            kinds = [process.kind for process in found]
            self._alive = {kind: kinds.count(kind) for kind in sorted({*kinds, "worker", "sweep"})}

        def look_at_broker() -> None:
            self._messages = queue.depth()

        self._questions = {
            "database": _Question(look_at_database),
            "broker": _Question(look_at_broker),
            "storage": _Question(storage.check_writable),
        }
        self._silent_seconds = settings.silent_seconds

    def check(self) -> Report:
        """Ask all parts."""
        for question in self._questions.values():
            question.ask()
        deadline = time.monotonic() + self._patience_seconds
        missing = {}
        for name, question in self._questions.items():
            reason = question.answer(deadline)
            if reason is not None:
                missing[name] = reason
        alive: Mapping[str, int] = {}
        if "database" not in missing:
            alive = self._alive
            for kind in ("worker", "sweep"):
                if not alive[kind]:
                    missing[kind] = f"No {kind} told of itself for {self._silent_seconds:g} s."
        messages = None if "broker" in missing else self._messages
        return Report(MappingProxyType(missing), messages, alive)


class _Question:
    """One part's question, asked in a thread, by one thread at a time."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._reason: str | None = None

    def ask(self) -> None:
        """Ask, unless the last time is not answered yet."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="readiness", daemon=True)
                self._thread.start()

    def answer(self, deadline: float) -> str | None:
        """What is wrong; None: nothing is."""
        thread = self._thread
        if thread is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                return "It was asked, and has not answered."
        return self._reason

    def _run(self) -> None:
        try:
            self._ask()
        except (FacesJobsError, OSError) as error:
            self._reason = str(error)
        except Exception as error:  # noqa: BLE001 (the last boundary: told as the reason)
            self._reason = f"{type(error).__name__}: {error}"
        else:
            self._reason = None
