"""Alternates between several measurements, so that other load affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

ROUNDS = 3

Work = Callable[[], object]


def fastest_seconds(works: Mapping[str, Work], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the seconds of each work's fastest round, the one with the least other load.

    Args:
        works: name -> function to time; each is called once a round, in this order.
        rounds: number of rounds.
    """
    fastest = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            fastest[name] = min(fastest[name], time.perf_counter() - started)
    return fastest
