"""Counts of what one process does, kept until its next sign of life carries them on."""

from __future__ import annotations

import threading
from collections.abc import Mapping

Counts = Mapping[tuple[str, str], float]
"""(name, label) to what came to it. A name without labels has the label ``""``."""


class Counters:
    """Counts that only grow. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], float] = {}

    def add(self, name: str, amount: float = 1.0, *, label: str = "") -> None:
        """Count."""
        with self._lock:
            self._counts[name, label] = self._counts.get((name, label), 0.0) + amount

    def take(self) -> Counts:
        """What was counted since the last time; from now on it is the caller's to keep."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def restore(self, counts: Counts) -> None:
        """Take counts back that could not be kept: they come with the next ones."""
        for (name, label), amount in counts.items():
            self.add(name, amount, label=label)
