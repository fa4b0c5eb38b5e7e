"""Takes turns with several measurements, so that a busy moment of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

ROUNDS = 3

Workload = Callable[[], object]


def fastest_seconds(workloads: Mapping[str, Workload], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of each work's fastest round: what other programs took away is not ours.

    Args:
        workloads: name to what is measured; each is called once a round, in this order.
        rounds: how often.
    """
    fastest = dict.fromkeys(workloads, float("inf"))
    for _ in range(rounds):
        for name, work in workloads.items():
            started = time.perf_counter()
            work()
            fastest[name] = min(fastest[name], time.perf_counter() - started)
    return fastest
