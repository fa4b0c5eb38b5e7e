"""Runs the reconciler in a thread of its own, so that a slow storage never delays the sweep."""

from __future__ import annotations

import logging
import threading
import time
from typing import Self

from faces_jobs.counters import Counters
from faces_jobs.worker.maintenance.reconcile import Reconciler

# The sender of a SIGTERM waits 25 s, also for webhooks. The next sweep does what was cut off.
JOIN_TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


class ReconcilerThread:
    """Runs rounds of a reconciler and counts what they repaired. A context manager."""

    def __init__(
        self, reconciler: Reconciler, *, interval_seconds: float, counters: Counters
    ) -> None:
        self._reconciler = reconciler
        self._interval_seconds = interval_seconds
        self._counters = counters
        self._without_message = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="reconciler", daemon=True)

    def count(self, without_message: int) -> None:
        """Add rows that had no message, until the sweep sent one, to the next round's report."""
        with self._lock:
            self._without_message += without_message

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._reconciler.stopped.set()
        self._thread.join(JOIN_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            _log.warning("the current round did not end in %.0f s: abandoned", JOIN_TIMEOUT_SECONDS)

    def _run(self) -> None:
        stopped = self._reconciler.stopped
        while not stopped.is_set():
            due_at = time.monotonic() + self._interval_seconds
            try:
                self._run_round()
            except Exception:  # noqa: BLE001 (outermost handler: logged; the next round continues)
                _log.exception("a round failed")
            stopped.wait(max(0.0, due_at - time.monotonic()))

    def _run_round(self) -> None:
        with self._lock:
            without_message, self._without_message = self._without_message, 0
        report = self._reconciler.run_round(without_message=without_message)
        for kind, count in report.repaired().items():
            self._counters.add("repaired", count, label=kind)
