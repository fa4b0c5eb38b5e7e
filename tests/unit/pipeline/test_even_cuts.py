"""The choice of cuts, such that workers can share the parts evenly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.pipeline.cutting.even_cuts import even_cuts

LENGTH = 10.0


def parts(duration: int, every: int, *, workers: int) -> list[int]:
    """Return the lengths of the parts of a video with a key frame every `every` ticks."""
    candidates = np.arange(every, duration, every)
    cuts = even_cuts(candidates, start=0, end=duration, length=LENGTH, workers=workers)
    edges = [0, *(int(candidates[cut]) for cut in cuts), duration]
    return [after - before for before, after in pairwise(edges)]


def finish_time(lengths: list[int], workers: int) -> int:
    """Return when all parts are done if each worker takes the next one as soon as it is free."""
    busy = [0] * workers
    for length in lengths:
        busy[busy.index(min(busy))] += length
    return max(busy)


@pytest.mark.parametrize(
    ("duration", "every", "workers", "wanted"),
    [
        (40, 2, 1, [10, 10, 10, 10]),
        (40, 2, 2, [10, 10, 10, 10]),
        (41, 1, 1, [10, 10, 11, 10]),
        (30, 1, 2, [5, 5, 5, 5, 5, 5]),
        (50, 1, 4, [6, 6, 7, 6, 6, 6, 7, 6]),
        (30, 10, 2, [10, 10, 10]),
        (40, 40, 2, [40]),
        (9, 1, 1, [9]),
    ],
)
def test_parts_are_equal_and_their_number_suits_the_workers(
    duration: int, every: int, workers: int, wanted: list[int]
) -> None:
    found = parts(duration, every, workers=workers)
    assert sorted(found) == sorted(wanted)


@given(
    duration=st.integers(12, 3000),
    every=st.integers(1, 4),
    workers=st.integers(1, 9),
)
def test_no_worker_is_idle_for_long_and_no_part_is_long(
    duration: int, every: int, workers: int
) -> None:
    found = parts(duration, every, workers=workers)
    assert sum(found) == duration
    assert max(found) <= LENGTH * 1.1 + every
    ideal = duration / workers
    min_length = LENGTH * 0.2
    assert finish_time(found, workers) <= max(ideal, min_length) * 1.15 + 2 * every + min_length


def test_one_worker_gets_the_fewest_parts() -> None:
    assert len(parts(1000, 1, workers=1)) == 91


def test_many_workers_do_not_make_parts_tiny() -> None:
    assert min(parts(40, 1, workers=1000)) >= 2


def test_times_may_start_anywhere() -> None:
    candidates = np.arange(1010, 1040, 10)
    assert even_cuts(candidates, start=1000, end=1040, length=LENGTH, workers=2) == [0, 1, 2]


def test_without_candidates_there_is_no_cut() -> None:
    none = np.array([], np.int64)
    assert even_cuts(none, start=0, end=100, length=LENGTH, workers=2) == []


def test_key_frames_millennia_apart_take_no_more_memory_than_others() -> None:
    candidates = np.arange(1, 12) * 10**15
    cuts = even_cuts(candidates, start=0, end=12 * 10**15, length=LENGTH, workers=2)
    assert cuts == list(range(11))
