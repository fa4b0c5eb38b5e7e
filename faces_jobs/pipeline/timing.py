"""Measures the time spent in each stage, summed over all threads of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class StageTimer:
    """Sums up seconds by stage. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the duration of the block to this stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - started
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + elapsed

    def totals(self) -> Mapping[str, float]:
        """Return the seconds of each stage so far, in order of their first measurement."""
        with self._lock:
            return dict(self._seconds)
