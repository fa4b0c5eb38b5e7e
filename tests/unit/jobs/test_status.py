"""States of jobs, items and segments, and the legal moves between them."""

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
    final_job_status,
)


def test_every_state_has_its_moves() -> None:
    assert set(JOB_MOVES) == set(JobStatus)
    assert set(ITEM_MOVES) == set(ItemStatus)
    assert set(SEGMENT_MOVES) == set(SegmentStatus)


def test_every_state_of_a_job_is_reachable_and_four_are_final() -> None:
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
def test_jobs_and_items_return_to_a_state_only_by_a_hold_or_a_retry(
    moves: dict[JobStatus, frozenset[JobStatus]],
) -> None:
    held = {JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE}
    for before, afters in moves.items():
        for after in afters:
            if before in moves[after]:
                assert {before, after} & held or before.ended or after.ended


def test_only_a_retry_leaves_a_final_state() -> None:
    for status in JobStatus:
        if status.ended:
            assert JOB_MOVES[status] in (
                frozenset(),
                {JobStatus.QUEUED, JobStatus.FINISHING},
            )
    for item in ItemStatus:
        assert not item.ended or ITEM_MOVES[item] <= {ItemStatus.QUEUED}
    for segment in SegmentStatus:
        assert segment.ended == (not SEGMENT_MOVES[segment])


def test_only_queued_and_running_jobs_are_active() -> None:
    assert {status for status in JobStatus if status.active} == {
        JobStatus.QUEUED,
        JobStatus.RUNNING,
    }


@given(st.lists(st.sampled_from([ItemStatus.SUCCEEDED, ItemStatus.FAILED])))
def test_a_job_s_final_state_follows_from_its_items(items: list[ItemStatus]) -> None:
    ended = final_job_status(items)
    assert ended in JOB_MOVES[JobStatus.FINISHING]
    assert (ended is JobStatus.SUCCEEDED) == (bool(items) and ItemStatus.FAILED not in items)
    assert (ended is JobStatus.FAILED) == (ItemStatus.SUCCEEDED not in items)
