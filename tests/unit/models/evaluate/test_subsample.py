"""An even draw keeps the order, the number, and is the same each time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faces_jobs_models.training.data.subsample import subsample


@given(st.integers(0, 200), st.integers(1, 50))
def test_a_draw_is_some_of_the_rows_in_their_order(rows: int, count: int) -> None:
    drawn = subsample(iter(range(rows)), count)
    assert len(drawn) == min(rows, count)
    assert drawn == sorted(set(drawn))
    assert drawn == subsample(iter(range(rows)), count)
    assert set(drawn) <= set(range(rows))


def test_late_rows_are_as_likely_as_early_ones() -> None:
    drawn = subsample(range(10_000), 1000)
    assert 420 < sum(row < 5000 for row in drawn) < 580
