"""Progress of items and jobs: fractions, rates and estimated times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.status import ItemStatus
from faces_jobs.results.progress import (
    ItemsWork,
    Work,
    item_fraction,
    job_fraction,
    job_work,
    progress,
)


def group(status: ItemStatus, **values: float) -> ItemsWork:
    """The work of all items of one status; by default a single item that is not started."""
    fields = {
        "items": 1,
        "frames_done": 0,
        "frames_total": 0,
        "unknown": 0,
        "weight": 100.0,
        "weight_done": 0.0,
    } | values
    return ItemsWork(status=status, **fields)  # type: ignore[arg-type]  # all are numbers


@pytest.mark.parametrize(
    ("work", "fraction"),
    [
        (Work(0, None, ended=False, seconds=None), 0.0),
        (Work(0, None, ended=False, seconds=1.0), None),
        (Work(5, 0, ended=False, seconds=1.0), None),
        (Work(5, 10, ended=False, seconds=1.0), 0.5),
        (Work(12, 10, ended=False, seconds=1.0), 0.99),
        (Work(3, 10, ended=True, seconds=1.0), 1.0),
    ],
)
def test_an_item_s_fraction(work: Work, fraction: float | None) -> None:
    assert item_fraction(work) == fraction


def test_rate_and_estimate_follow_from_the_frames_done() -> None:
    shown = progress(Work(50, 200, ended=False, seconds=10.0), 0.25)
    assert shown.frames_per_second == 5.0
    assert shown.eta_seconds == 30.0


def test_without_a_total_the_estimate_follows_the_fraction() -> None:
    shown = progress(Work(50, None, ended=False, seconds=10.0), 0.25)
    assert shown.eta_seconds == pytest.approx(30.0)


def test_nothing_is_estimated_before_the_work_begins() -> None:
    shown = progress(Work(0, None, ended=False, seconds=None), 0.0)
    assert (shown.frames_per_second, shown.eta_seconds, shown.frames_total) == (None, None, None)


def test_work_on_hold_has_no_rate_and_no_estimate() -> None:
    shown = progress(Work(50, 200, ended=False, seconds=3600.0), 0.25, on_hold=True)
    assert (shown.frames_per_second, shown.eta_seconds) == (None, None)
    assert (shown.frames_done, shown.frames_total, shown.fraction) == (50, 200, 0.25)
    ended = progress(Work(50, 50, ended=True, seconds=10.0), 1.0, on_hold=True)
    assert ended.frames_per_second == 5.0


def test_ended_work_has_no_remaining_time() -> None:
    shown = progress(Work(7, 10, ended=True, seconds=2.0), 1.0)
    assert (shown.frames_total, shown.eta_seconds, shown.fraction) == (7, 0.0, 1.0)


def test_items_are_weighted_by_their_bytes() -> None:
    groups = [
        group(ItemStatus.SUCCEEDED, weight=100, frames_done=1, frames_total=1),
        group(ItemStatus.RUNNING, weight=300, weight_done=150, frames_done=50, frames_total=100),
        group(ItemStatus.QUEUED, weight=600, unknown=1),
    ]
    assert job_fraction(groups, ended=False) == pytest.approx(0.25)
    work = job_work(groups, ended=False, seconds=5.0)
    assert (work.frames_done, work.frames_total) == (51, None)


def test_frames_kept_by_a_retry_count_as_done_but_not_in_the_rate() -> None:
    groups = [
        group(ItemStatus.SUCCEEDED, frames_done=900),
        group(ItemStatus.RUNNING, frames_done=50, frames_total=100),
    ]
    shown = progress(job_work(groups, ended=False, seconds=10.0, frames_kept=900), 0.9)
    assert (shown.frames_done, shown.frames_per_second, shown.eta_seconds) == (950, 5.0, 10.0)

    groups[1] = group(ItemStatus.RUNNING, unknown=1)
    shown = progress(job_work(groups, ended=False, seconds=10.0, frames_kept=900), 0.9)
    assert (shown.frames_per_second, shown.eta_seconds) == (None, None)


def test_a_job_whose_running_item_has_no_total_has_no_fraction() -> None:
    assert job_fraction([group(ItemStatus.RUNNING, unknown=1)], ended=False) is None
    assert job_fraction([group(ItemStatus.RUNNING, unknown=1)], ended=True) == 1.0


@given(st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1)), min_size=1, max_size=20))
def test_a_job_s_fraction_is_below_one_until_it_ends(items: list[tuple[int, float]]) -> None:
    groups = [
        group(ItemStatus.RUNNING, weight=float(size), weight_done=size * done)
        for size, done in items
    ]
    fraction = job_fraction(groups, ended=False)
    assert fraction is not None
    assert 0 <= fraction <= 0.99
