"""Measures several workloads in turns, so that a busy moment of the machine affects all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

ROUNDS = 3

Workload = Callable[[], object]


def fastest_seconds(workloads: Mapping[str, Workload], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Seconds of the fastest round of each workload, which other programs disturbed least.

    Args:
        workloads: by name; each is called once per round, in this order.
        rounds: how often each is measured.
    """
    fastest = dict.fromkeys(workloads, float("inf"))
    for _ in range(rounds):
        for name, workload in workloads.items():
            started = time.perf_counter()
            workload()
            fastest[name] = min(fastest[name], time.perf_counter() - started)
    return fastest
