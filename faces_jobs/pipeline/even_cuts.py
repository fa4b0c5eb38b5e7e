"""At which of the places where a video can be cut it is cut: so that workers end together."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Parts may be longer than asked for by this much: 41 seconds are four parts, not five.
_LONGEST = 1.1
# Shorter ones are not made, however many workers there are: each opens the file again.
_SHORTEST = 0.2
# What a part costs beside its frames, as a share of one of the length asked for.
_OPENING = 0.02


def even_cuts(
    places: NDArray[np.int64], *, start: int, end: int, length: float, workers: int
) -> list[int]:
    """Which of these places to cut at, by their indices, in order; none where one part is best.

    Of the numbers of parts that are long enough, and not too long, it is the one with which so
    many workers, each taking the next part when it is through with one, are done first.

    Args:
        places: (n,) times at which a cut is possible, in order, all after `start`.
        start: time of the first frame.
        end: time of the last one.
        length: how long a part should be, by the same clock.
        workers: how many there are to share the parts.
    """
    whole = end - start
    fewest = max(1, math.ceil(whole / (length * _LONGEST)))
    # Beyond two rounds more nothing gets evener that the key frames allow.
    most = min(fewest + 2 * workers - 1, int(whole / (length * _SHORTEST)))
    best: list[int] = []
    soonest = math.inf
    for count in range(fewest, max(fewest, most) + 1):
        cuts = _nearest(places, [start + whole * n / count for n in range(1, count)])
        edges = [start, *places[cuts].tolist(), end]
        spent = _done_after(np.diff(edges) + length * _OPENING, workers)
        if spent < soonest:
            best, soonest = cuts, spent
    return best


def _nearest(places: NDArray[np.int64], wanted: Sequence[float]) -> list[int]:
    """The indices of the places next to those wanted, each once."""
    if not len(places) or not wanted:
        return []
    after = np.searchsorted(places, wanted).clip(0, len(places) - 1)
    before = (after - 1).clip(0)
    is_before = np.abs(places[before] - wanted) <= np.abs(places[after] - wanted)
    return [int(index) for index in np.unique(np.where(is_before, before, after))]


def _done_after(costs: NDArray[np.float64], workers: int) -> float:
    """When the last of these workers is done, each taking the next part when it is free."""
    free_at = [0.0] * workers
    for cost in costs.tolist():
        heapq.heapreplace(free_at, free_at[0] + cost)
    return max(free_at)
