"""Counts what one process does, until its next heartbeat writes the counts to the database."""

from __future__ import annotations

import threading
from collections.abc import Mapping

Counts = Mapping[tuple[str, str], float]
"""(name, label) to the increase. A counter without labels has the label ``""``."""

FRAMES = ("frames", "")
"""The counter of frames, which the heartbeats of a worker increase while it analyses any."""


class Counters:
    """Counters that only increase. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], float] = {}

    def add(self, name: str, amount: float = 1.0, *, label: str = "") -> None:
        """Increase a counter."""
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0.0) + amount

    def take(self) -> Counts:
        """Return the increases since the last call, and reset them."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def restore(self, counts: Counts) -> None:
        """Add counts that were taken but could not be written: the next `take` returns them."""
        for (name, label), amount in counts.items():
            self.add(name, amount, label=label)
