"""Seconds by stage, added up over all threads of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class StageSeconds:
    """What each stage took. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add the time of the block to this stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            with self._lock:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + spent

    def so_far(self) -> Mapping[str, float]:
        """Stage to seconds, in the order in which they were first heard of."""
        with self._lock:
            return dict(self._seconds)
