"""Times of streams whose timestamps are missing or out of order."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.pipeline.reading.clock import StreamClock

MILLISECOND = Fraction(1, 1000)
RATE = Fraction(25)


def placed(pts: list[int | None], *, start: int | None = 0) -> list[int]:
    clock = StreamClock(time_base=MILLISECOND, start=start, rate=RATE)
    return [clock.place(each, None)[0] for each in pts]


def test_times_in_order_are_kept_to_the_tick() -> None:
    assert placed([100, 101, 177, 5000], start=100) == [0, 1, 77, 4900]


def test_missing_times_follow_the_rate() -> None:
    assert placed([None, None, None], start=None) == [0, 40, 80]
    assert placed([0, None, 85, None]) == [0, 40, 85, 125]


def test_duplicate_times_increase_by_a_tick_and_the_others_stay() -> None:
    assert placed([0, 40, 40, 80]) == [0, 40, 41, 80]


def test_restarting_times_continue_from_the_previous_end() -> None:
    assert placed([0, 40, 2000, 0, 40, 80]) == [0, 40, 2000, 2040, 2080, 2120]


def test_the_end_is_that_of_the_last_frame() -> None:
    clock = StreamClock(time_base=MILLISECOND, start=0, rate=None)
    clock.place(0, 500)
    assert (clock.end, clock.milliseconds(clock.end)) == (500, 500.0)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), max_size=20),
    st.one_of(st.none(), st.integers(-(2**62), 2**62)),
)
def test_times_always_increase(pts: list[int | None], start: int | None) -> None:
    times = placed(pts, start=start)
    assert all(a < b for a, b in itertools.pairwise(times))
