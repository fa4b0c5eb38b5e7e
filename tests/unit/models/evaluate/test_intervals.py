"""Intervals against published and hand-computed values, and what must always hold of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs_models.training.evaluation.intervals import (
    Intervals,
    balanced_interval,
    intervals_of,
    wilson_interval,
)


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
    assert wilson_interval(right, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share_lies_in_its_interval(case: tuple[int, int]) -> None:
    right, n = case
    low, high = wilson_interval(right, n)
    assert 0 <= low <= right / n <= high <= 1
    assert high > low
    mirrored = wilson_interval(n - right, n)
    assert mirrored == pytest.approx((1 - high, 1 - low))
    assert wilson_interval(4 * right, 4 * n)[1] - wilson_interval(4 * right, 4 * n)[0] < high - low


@pytest.mark.parametrize(("right", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_an_invalid_share_is_refused(right: int, n: int) -> None:
    with pytest.raises(ValueError, match="not a share"):
        wilson_interval(right, n)


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


def of_groups(*groups: list[tuple[int, int]]) -> Intervals:
    """Of faces in groups; a group has for each label how many are right, and how many there are."""
    truth, answers, group = [], [], []
    labels = len(groups[0])
    for name, counts in enumerate(groups):
        for label, (right, n) in enumerate(counts):
            truth += [label] * n
            answers += [label] * right + [-1] * (n - right)
            group += [str(name)] * n
    return intervals_of(np.array(truth), np.array(answers), np.array(group), labels=labels)


def test_faces_that_are_alone_are_drawn_one_by_one() -> None:
    found = of_groups(*[[(1, 1), (0, 0)]] * 60, *[[(0, 1), (0, 0)]] * 20, *[[(0, 0), (1, 1)]] * 20)
    assert found.accuracy == wilson_interval(80, 100)
    assert found.balanced == balanced_interval([60, 20], [80, 20])
    assert found.recall == [wilson_interval(60, 80), wilson_interval(20, 20)]


def test_of_people_who_are_wholly_right_or_wrong_each_counts_as_one() -> None:
    found = of_groups(*[[(25, 25)]] * 60, *[[(0, 25)]] * 20)
    deviation = (0.75 * 0.25 / 80) ** 0.5
    expected = (0.75 - 1.96 * deviation, 0.75 + 1.96 * deviation)
    assert found.accuracy == pytest.approx(expected, abs=1 / 80)  # one more or less
    assert found.balanced == found.accuracy == found.recall[0]


def test_people_who_are_as_often_right_make_no_interval_wider() -> None:
    found = of_groups(*[[(30, 40), (10, 40)]] * 12)
    assert found.accuracy == wilson_interval(480, 960)
    assert found.recall == [wilson_interval(360, 480), wilson_interval(120, 480)]


def test_a_label_that_one_person_shows_has_the_interval_of_its_faces() -> None:
    found = of_groups([(9, 10), (3, 5)], [(2, 10), (0, 0)], [(6, 10), (0, 0)])
    assert found.recall[0] is not None
    assert found.recall[0][1] - found.recall[0][0] > 0.5
    assert found.recall[1] == wilson_interval(3, 5)


def test_a_label_that_no_face_shows_has_none() -> None:
    assert of_groups([(9, 10), (0, 0)], [(2, 10), (0, 0)]).recall[1] is None


@given(
    st.lists(
        st.lists(
            st.integers(0, 5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=5,
    ).filter(lambda groups: any(n for group in groups for _, n in group))
)
def test_groups_make_no_interval_narrower(groups: list[list[tuple[int, int]]]) -> None:
    found = of_groups(*groups)
    right, n = (sum(counts[of] for group in groups for counts in group) for of in (0, 1))
    low, high = found.accuracy
    alone = wilson_interval(right, n)
    assert 0 <= low <= alone[0] <= right / n <= alone[1] <= high <= 1
    assert found == of_groups(*groups)
