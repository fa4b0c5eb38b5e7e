"""The states and their legal moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
    ItemStatus,
    JobStatus,
    SegmentStatus,
    status_of_ended,
)


def test_every_state_has_its_moves() -> None:
    assert set(JOB_MOVES) == set(JobStatus)
    assert set(ITEM_MOVES) == set(ItemStatus)
    assert set(SEGMENT_MOVES) == set(SegmentStatus)


def test_every_state_is_reached_and_every_life_ends() -> None:
    reached = {JobStatus.QUEUED}
    for _ in JobStatus:
        reached |= {after for before in reached for after in JOB_MOVES[before]}
    assert reached == set(JobStatus)
    assert {status for status in JobStatus if status.ended} == {
        JobStatus.SUCCEEDED,
        JobStatus.SUCCEEDED_WITH_ERRORS,
        JobStatus.FAILED,
        JobStatus.CANCELLED,
    }


@pytest.mark.parametrize("moves", [JOB_MOVES, ITEM_MOVES])
def test_jobs_and_items_never_go_back(moves: dict[str, frozenset[str]]) -> None:
    for before, afters in moves.items():
        assert all(before not in moves[after] for after in afters)


@given(st.lists(st.sampled_from([ItemStatus.SUCCEEDED, ItemStatus.FAILED])))
def test_how_a_job_ends(items: list[ItemStatus]) -> None:
    ended = status_of_ended(items)
    assert ended in JOB_MOVES[JobStatus.FINISHING]
    assert (ended is JobStatus.SUCCEEDED) == (bool(items) and ItemStatus.FAILED not in items)
    assert (ended is JobStatus.FAILED) == (ItemStatus.SUCCEEDED not in items)
