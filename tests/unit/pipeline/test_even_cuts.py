"""Which cuts are made of those that can be: parts that workers share out evenly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.pipeline.even_cuts import even_cuts

LENGTH = 10.0


def parts(whole: int, every: int, *, workers: int) -> list[int]:
    """The lengths of the parts of a film of this length that has a key frame so often."""
    places = np.arange(every, whole, every)
    cuts = even_cuts(places, start=0, end=whole, length=LENGTH, workers=workers)
    edges = [0, *(int(places[cut]) for cut in cuts), whole]
    return [after - before for before, after in pairwise(edges)]


def turns(lengths: list[int], workers: int) -> int:
    """How long it takes so many workers, each of which takes the next part when it is free."""
    busy = [0] * workers
    for length in lengths:
        busy[busy.index(min(busy))] += length
    return max(busy)


@pytest.mark.parametrize(
    ("whole", "every", "workers", "wanted"),
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
def test_parts_are_alike_and_as_many_as_workers_share_out(
    whole: int, every: int, workers: int, wanted: list[int]
) -> None:
    found = parts(whole, every, workers=workers)
    assert sorted(found) == sorted(wanted)


@given(
    whole=st.integers(12, 3000),
    every=st.integers(1, 4),
    workers=st.integers(1, 9),
)
def test_no_worker_waits_long_and_no_part_is_long(whole: int, every: int, workers: int) -> None:
    found = parts(whole, every, workers=workers)
    assert sum(found) == whole
    assert max(found) <= LENGTH * 1.1 + every
    ideal = whole / workers
    shortest = LENGTH * 0.2
    assert turns(found, workers) <= max(ideal, shortest) * 1.15 + 2 * every + shortest


def test_one_worker_gets_no_more_parts_than_it_must() -> None:
    assert len(parts(1000, 1, workers=1)) == 91


def test_many_workers_do_not_make_parts_tiny() -> None:
    assert min(parts(40, 1, workers=1000)) >= 2


def test_times_may_begin_anywhere() -> None:
    places = np.arange(1010, 1040, 10)
    assert even_cuts(places, start=1000, end=1040, length=LENGTH, workers=2) == [0, 1, 2]


def test_without_a_place_there_is_no_cut() -> None:
    none = np.array([], np.int64)
    assert even_cuts(none, start=0, end=100, length=LENGTH, workers=2) == []
