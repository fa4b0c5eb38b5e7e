"""The states of jobs, items and segments, and the legal moves between them.

    job       queued -> running -> finishing -> succeeded | succeeded_with_errors | failed
              queued | running | finishing -> cancelled
    item      queued -> running -> succeeded | failed
              queued | running -> cancelled
    segment   queued -> running -> succeeded | failed,  running -> queued (the lease ran out)
              queued | running -> cancelled

`finishing` is the time in which the job's exports are written, after its last item ended.
An item whose file is refused at submission is `failed` from the start.
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
    SUCCEEDED = "succeeded"  # every item succeeded
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"  # some items failed, the others succeeded
    FAILED = "failed"  # no item succeeded
    CANCELLED = "cancelled"  # the user ended it; results of finished items are kept

    @property
    def ended(self) -> bool:
        """True when no move is left."""
        return not JOB_MOVES[self]


class ItemStatus(StrEnum):
    """One file of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """True when no move is left."""
        return not ITEM_MOVES[self]


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
        return not SEGMENT_MOVES[self]


JOB_MOVES: MappingProxyType[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.FINISHING, JobStatus.CANCELLED}),
        JobStatus.RUNNING: frozenset({JobStatus.FINISHING, JobStatus.CANCELLED}),
        JobStatus.FINISHING: frozenset(
            {
                JobStatus.SUCCEEDED,
                JobStatus.SUCCEEDED_WITH_ERRORS,
                JobStatus.FAILED,
                JobStatus.CANCELLED,
            }
        ),
        JobStatus.SUCCEEDED: frozenset(),
        JobStatus.SUCCEEDED_WITH_ERRORS: frozenset(),
        JobStatus.FAILED: frozenset(),
        JobStatus.CANCELLED: frozenset(),
    }
)

ITEM_MOVES: MappingProxyType[ItemStatus, frozenset[ItemStatus]] = MappingProxyType(
    {
        ItemStatus.QUEUED: frozenset({ItemStatus.RUNNING, ItemStatus.FAILED, ItemStatus.CANCELLED}),
        ItemStatus.RUNNING: frozenset(
            {ItemStatus.SUCCEEDED, ItemStatus.FAILED, ItemStatus.CANCELLED}
        ),
        ItemStatus.SUCCEEDED: frozenset(),
        ItemStatus.FAILED: frozenset(),
        ItemStatus.CANCELLED: frozenset(),
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


def status_of_ended(items: Iterable[ItemStatus]) -> JobStatus:
    """The state in which a job ends whose items ended so (cancelled items aside)."""
    ended = list(items)
    succeeded = ended.count(ItemStatus.SUCCEEDED)
    if succeeded == len(ended) and ended:
        return JobStatus.SUCCEEDED
    return JobStatus.SUCCEEDED_WITH_ERRORS if succeeded else JobStatus.FAILED
