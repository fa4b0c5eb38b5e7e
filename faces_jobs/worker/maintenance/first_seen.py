"""Measures, by a monotonic clock, for how long a sweep has seen files without a row (orphans)."""

from __future__ import annotations

import time
from collections.abc import Callable

# An age is the difference of two clocks that may be adjusted meanwhile: a smaller difference is
# not taken for a change of the file.
UNCERTAIN_SECONDS = 5.0


class FirstSeen:
    """Remembers orphans from one pass over the storage to the next.

    A file's age alone is not reliable: if this machine's clock is ahead of the storage's, files of
    an upload that is just being accepted would seem old enough to be removed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, tuple[float, float]] = {}
        self._now: dict[str, tuple[float, float]] = {}

    def begin_round(self) -> None:
        """Start a new pass. Orphans that are not seen during it are forgotten afterwards."""
        self._before, self._now = self._now, {}

    def seconds(self, key: str, age_seconds: float) -> float:
        """Record an orphan. Returns for how long it was seen unchanged: 0 the first time."""
        now = self._clock()
        # Wrong by the difference of the two clocks, but by the same amount each time.
        changed = now - age_seconds
        since, before = self._now.get(key) or self._before.get(key) or (now, changed)
        if changed > before + UNCERTAIN_SECONDS:
            since = now
        self._now[key] = since, changed
        return now - since
