"""Chooses where to cut a video, so that the workers that share its parts finish together."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

# These are multiples of the wanted length. Parts may exceed it a little: 41 seconds at a wanted
# length of 10 are four parts, not five.
_MAX_LENGTH = 1.1
# A part opens the file again, so very short ones are not worth it, however many workers there are.
_MIN_LENGTH = 0.2
# The overhead of a part.
_OVERHEAD = 0.02
# How many rounds of parts more than necessary are tried; with still more, the key frames hardly
# allow a more even distribution.
_EXTRA_ROUNDS = 2


def even_cuts(
    candidates: NDArray[np.int64], *, start: int, end: int, length: float, workers: int
) -> list[int]:
    """Return the indices of the candidates to cut at, in order; none if one part is best.

    Tries each number of parts that keeps to the limits of their length, and chooses the one that
    finishes first if each worker takes the next part as soon as it is free.

    Args:
        candidates: (n,) times at which a cut is possible, in order, all after `start`.
        start: time of the first frame.
        end: time of the last frame.
        length: wanted length of a part, in the same unit.
        workers: how many workers share the parts.
    """
    duration = end - start
    min_count = max(1, math.ceil(duration / (length * _MAX_LENGTH)))
    max_count = min(min_count + _EXTRA_ROUNDS * workers - 1, int(duration / (length * _MIN_LENGTH)))
    best: list[int] = []
    best_finish = math.inf
    for count in range(min_count, max(min_count, max_count) + 1):
        cuts = _nearest(candidates, start=start, duration=duration, count=count)
        edges = [start, *candidates[cuts].tolist(), end]
        finish = _finish_time(np.diff(edges) + length * _OVERHEAD, workers)
        if finish < best_finish:
            best, best_finish = cuts, finish
    return best


def _nearest(candidates: NDArray[np.int64], *, start: int, duration: int, count: int) -> list[int]:
    """Return the indices of the candidates nearest to the edges of equal parts.

    Asks of each candidate whether it is the nearest to an edge, and so never lists the edges: where
    timestamps jump by years, there are billions of them between a few candidates.
    """
    if not len(candidates) or count < 2:
        return []
    # From halfway between two candidates on, edges are nearer to the second. Each term is halved
    # by itself, as their sum may be more than an int64 holds.
    halfway = candidates[:-1] / 2 + candidates[1:] / 2
    edges_before = np.floor((halfway - start) * count / duration).clip(0, count - 1)
    edges = np.diff(edges_before, prepend=0, append=count - 1)
    return [int(index) for index in np.flatnonzero(edges)]


def _finish_time(costs: NDArray[np.float64], workers: int) -> float:
    """Return when the last part is done if each worker takes the next one as soon as it is free."""
    free_at = [0.0] * workers
    for cost in costs.tolist():
        heapq.heapreplace(free_at, free_at[0] + cost)
    return max(free_at)
