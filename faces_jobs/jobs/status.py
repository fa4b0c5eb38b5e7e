"""The states of jobs, items and segments, and the legal moves between them.

    job       queued -> running -> finishing -> succeeded | succeeded_with_errors | failed
              all of these before the end -> paused -> back to where its items are
              running | finishing -> waiting_for_space -> back, when there is room again
              whatever has not ended -> cancelled
              succeeded_with_errors | failed | cancelled -> queued | finishing (retry)
    item      queued -> running -> succeeded | failed
              queued | running -> cancelled
              failed | cancelled -> queued (retry)
    segment   queued -> running -> succeeded | failed,  running -> queued (handed back)
              queued | running -> cancelled; a retry makes new ones

`finishing` is the time in which the job's exports are written, after its last item ended.
An item whose file is refused at submission is `failed` from the start, and stays so.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType


class JobStatus(StrEnum):
    """One row, one life."""

    QUEUED = "queued"  # accepted; no worker has begun
    RUNNING = "running"  # at least one segment was claimed
    FINISHING = "finishing"  # every item ended; the exports are being written
    PAUSED = "paused"  # the user holds it; workers hand back what they have of it
    WAITING_FOR_SPACE = "waiting_for_space"  # the disk was full; it goes on by itself
    SUCCEEDED = "succeeded"  # every item succeeded
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"  # some items failed, the others succeeded
    FAILED = "failed"  # no item succeeded
    CANCELLED = "cancelled"  # the user ended it; results of finished items are kept

    @property
    def ended(self) -> bool:
        """True when nothing happens any more unless the user asks for a retry."""
        return self in _ENDED

    @property
    def active(self) -> bool:
        """True when workers may take the job's segments."""
        return self in ACTIVE_JOBS


class ItemStatus(StrEnum):
    """One file of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when nothing happens any more unless the user asks for a retry."""
        return self in _ENDED


class SegmentStatus(StrEnum):
    """A run of frames of one item: what a worker claims."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when no move is left."""
        return self in _ENDED


# States of one name mean the same for jobs, items and segments, and compare as their names do.
_ENDED = frozenset({"succeeded", "succeeded_with_errors", "failed", "cancelled"})
OPEN_JOBS = tuple(state for state in JobStatus if not state.ended)
OPEN_ITEMS = tuple(state for state in ItemStatus if not state.ended)
OPEN_SEGMENTS = tuple(state for state in SegmentStatus if not state.ended)
ACTIVE_JOBS = (JobStatus.QUEUED, JobStatus.RUNNING)
# A job that was paused or retried goes on where its items are: with work left, or with none.
_RETRIED = frozenset({JobStatus.QUEUED, JobStatus.FINISHING})

JOB_MOVES: MappingProxyType[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        JobStatus.QUEUED: frozenset(
            {JobStatus.RUNNING, JobStatus.FINISHING, JobStatus.PAUSED, JobStatus.CANCELLED}
        ),
        JobStatus.RUNNING: frozenset(
            {
                JobStatus.FINISHING,
                JobStatus.PAUSED,
                JobStatus.WAITING_FOR_SPACE,
                JobStatus.CANCELLED,
            }
        ),
        JobStatus.FINISHING: frozenset(
            {
                JobStatus.SUCCEEDED,
                JobStatus.SUCCEEDED_WITH_ERRORS,
                JobStatus.FAILED,
                JobStatus.PAUSED,
                JobStatus.WAITING_FOR_SPACE,
                JobStatus.CANCELLED,
            }
        ),
        JobStatus.PAUSED: frozenset(
            {JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.FINISHING, JobStatus.CANCELLED}
        ),
        JobStatus.WAITING_FOR_SPACE: frozenset(
            {JobStatus.RUNNING, JobStatus.FINISHING, JobStatus.PAUSED, JobStatus.CANCELLED}
        ),
        JobStatus.SUCCEEDED: frozenset(),
        JobStatus.SUCCEEDED_WITH_ERRORS: _RETRIED,
        JobStatus.FAILED: _RETRIED,
        JobStatus.CANCELLED: _RETRIED,
    }
)

ITEM_MOVES: MappingProxyType[ItemStatus, frozenset[ItemStatus]] = MappingProxyType(
    {
        ItemStatus.QUEUED: frozenset({ItemStatus.RUNNING, ItemStatus.FAILED, ItemStatus.CANCELLED}),
        ItemStatus.RUNNING: frozenset(
            {ItemStatus.SUCCEEDED, ItemStatus.FAILED, ItemStatus.CANCELLED}
        ),
        ItemStatus.SUCCEEDED: frozenset(),
        ItemStatus.FAILED: frozenset({ItemStatus.QUEUED}),
        ItemStatus.CANCELLED: frozenset({ItemStatus.QUEUED}),
    }
)

SEGMENT_MOVES: MappingProxyType[SegmentStatus, frozenset[SegmentStatus]] = MappingProxyType(
    {
        SegmentStatus.QUEUED: frozenset(
            {SegmentStatus.RUNNING, SegmentStatus.FAILED, SegmentStatus.CANCELLED}
        ),
        SegmentStatus.RUNNING: frozenset(
            {
                SegmentStatus.QUEUED,
                SegmentStatus.SUCCEEDED,
                SegmentStatus.FAILED,
                SegmentStatus.CANCELLED,
            }
        ),
        SegmentStatus.SUCCEEDED: frozenset(),
        SegmentStatus.FAILED: frozenset(),
        SegmentStatus.CANCELLED: frozenset(),
    }
)


def final_job_status(items: Iterable[ItemStatus]) -> JobStatus:
    """The state in which a job ends whose items ended so (cancelled items aside)."""
    ended = list(items)
    succeeded = ended.count(ItemStatus.SUCCEEDED)
    if succeeded == len(ended) and ended:
        return JobStatus.SUCCEEDED
    return JobStatus.SUCCEEDED_WITH_ERRORS if succeeded else JobStatus.FAILED
