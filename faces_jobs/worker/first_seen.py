"""Since when one sweep has seen what no row speaks of, by a clock that nobody sets."""

from __future__ import annotations

import time
from collections.abc import Callable

# An age is told by two clocks that may be set while we watch: less is no change of the files.
UNCERTAIN_SECONDS = 5.0


class FirstSeen:
    """Remembers orphans from one time round to the next, and forgets what is none any more.

    A file's age alone says too much where this machine's clock is ahead of the storage's: files
    of an upload that is just being accepted would seem old enough to be removed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: dict[str, tuple[float, float]] = {}
        self._now: dict[str, tuple[float, float]] = {}

    def begin_round(self) -> None:
        """A new time round begins: what is not seen again in it is forgotten after it."""
        self._before, self._now = self._now, {}

    def seconds(self, key: str, age_seconds: float) -> float:
        """Take note of an orphan. How long it has been seen as one, unchanged: 0 the first time."""
        now = self._clock()
        # Off by as much as the clocks differ, but each time by the same.
        changed = now - age_seconds
        since, before = self._now.get(key) or self._before.get(key) or (now, changed)
        if changed > before + UNCERTAIN_SECONDS:
            since = now
        self._now[key] = since, changed
        return now - since
