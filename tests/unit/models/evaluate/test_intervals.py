"""Intervals against published and hand-computed values, and what must always hold of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs_models.training.intervals import balanced_interval, wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_published_intervals_come_out(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval(case: tuple[int, int]) -> None:
    right, n = case
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert high > low
    mirrored = wilson(n - right, n)
    assert mirrored == pytest.approx((1 - high, 1 - low))
    assert wilson(4 * right, 4 * n)[1] - wilson(4 * right, 4 * n)[0] < high - low


@pytest.mark.parametrize(("right", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_what_is_no_share_is_refused(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        wilson(right, n)


def test_the_bootstrap_agrees_with_the_normal_distribution_on_many_faces() -> None:
    # Recalls of 0.9 and 0.6 have the mean 0.75, whose variance is a quarter of the sum of theirs.
    deviation = ((0.09 / 4000 + 0.24 / 1000) / 4) ** 0.5
    low, high = balanced_interval([3600, 600], [4000, 1000])
    assert low == pytest.approx(0.75 - 1.96 * deviation, abs=deviation / 10)
    assert high == pytest.approx(0.75 + 1.96 * deviation, abs=deviation / 10)


def test_the_bootstrap_gives_the_same_each_time_and_leaves_out_empty_labels() -> None:
    assert balanced_interval([3, 0, 5], [9, 0, 7]) == balanced_interval([3, 5], [9, 7])
    with pytest.raises(ValueError, match="no label"):
        balanced_interval([0], [0])


@given(
    st.lists(
        st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        min_size=1,
        max_size=6,
    )
)
def test_balanced_accuracy_lies_in_its_interval(labels: list[tuple[int, int]]) -> None:
    right, n = zip(*labels, strict=True)
    low, high = balanced_interval(right, n)
    balanced = sum(one / of for one, of in labels) / len(labels)
    assert 0 <= low <= high <= 1
    assert low - 0.05 <= balanced <= high + 0.05
