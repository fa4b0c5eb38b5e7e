"""Compares rows, broker and storage every so often, in a thread: rescue waits for no bucket."""

from __future__ import annotations

import logging
import threading
import time
from typing import Self

from faces_jobs.counters import Counters
from faces_jobs.worker.reconcile import Reconciler

# Whoever sends TERM waits 25 s, and for webhooks too. What is cut off, the next sweep goes on with.
JOIN_TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


class ReconcilerThread:
    """The rounds of a reconciler, `with` it open, and what they mended counted."""

    def __init__(self, reconciler: Reconciler, *, every_seconds: float, counters: Counters) -> None:
        self._reconciler = reconciler
        self._every_seconds = every_seconds
        self._counters = counters
        self._rung = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="reconciler", daemon=True)

    def count_rung(self, count: int) -> None:
        """Take account of rows that were rung for: the next round tells of them."""
        with self._lock:
            self._rung += count

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._reconciler.stopped.set()
        self._thread.join(JOIN_TIMEOUT_SECONDS)
        if self._thread.is_alive():
            _log.warning(
                "the round in hand did not end in %.0f s: left as it is", JOIN_TIMEOUT_SECONDS
            )

    def _live(self) -> None:
        stopped = self._reconciler.stopped
        while not stopped.is_set():
            due_at = time.monotonic() + self._every_seconds
            try:
                self._look()
            except Exception:  # noqa: BLE001 (the last boundary: told, and the next round goes on)
                _log.exception("a round was cut short")
            stopped.wait(max(0.0, due_at - time.monotonic()))

    def _look(self) -> None:
        with self._lock:
            rung, self._rung = self._rung, 0
        for what, count in self._reconciler.run_round(rung=rung).repaired().items():
            self._counters.add("mended", count, label=what)
