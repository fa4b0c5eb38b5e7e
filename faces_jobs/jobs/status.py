"""The states of jobs, items and segments, and the legal moves between them.

    job       queued -> running -> finishing -> succeeded | succeeded_with_errors | failed
              any of these before the end -> paused -> the state that its items are in
              running | finishing -> waiting_for_space -> the same, once there is space again
              any state that is not ended -> cancelled
              succeeded_with_errors | failed | cancelled -> queued | finishing (retry)
    item      queued -> running -> succeeded | failed
              queued | running -> cancelled
              failed | cancelled -> queued (retry)
    segment   queued -> running -> succeeded | failed,  running -> queued (released)
              queued | running -> cancelled; a retry creates new segments

A job is `finishing` while its exports are written, after its last item ended.
An item whose file is rejected at submission is `failed` from the start and is never retried.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from types import MappingProxyType


class JobStatus(StrEnum):
    """The state of a job."""

    QUEUED = "queued"  # accepted; no worker has started it
    RUNNING = "running"  # at least one segment was claimed
    FINISHING = "finishing"  # every item ended; the exports are being written
    PAUSED = "paused"  # by the user; workers release its segments
    WAITING_FOR_SPACE = "waiting_for_space"  # the disk was full; the job resumes by itself
    SUCCEEDED = "succeeded"  # every item succeeded
    SUCCEEDED_WITH_ERRORS = "succeeded_with_errors"  # some items failed, the others succeeded
    FAILED = "failed"  # no item succeeded
    CANCELLED = "cancelled"  # by the user; results of finished items are kept

    @property
    def ended(self) -> bool:
        """Whether the state is final, unless the user asks for a retry."""
        return self in _ENDED

    @property
    def cut_short(self) -> bool:
        """Whether it ended with a part undone: "8 of 8 frames" would then look complete."""
        return self in _CUT_SHORT

    @property
    def held(self) -> bool:
        """Whether nothing is done until the job is resumed, by its user or by itself."""
        return self in (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE)

    @property
    def active(self) -> bool:
        """Whether workers may claim the job's segments."""
        return self in ACTIVE_JOBS


class ItemStatus(StrEnum):
    """The state of an item, one file of a job."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the state is final, unless the user asks for a retry."""
        return self in _ENDED

    @property
    def cut_short(self) -> bool:
        """Whether it ended with a part undone: "8 of 8 frames" would then look complete."""
        return self in _CUT_SHORT


class SegmentStatus(StrEnum):
    """The state of a segment, the unit of work that a worker claims."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self in _ENDED


# States of the same name mean the same for jobs, items and segments, and compare equal as strings.
_ENDED = frozenset({"succeeded", "succeeded_with_errors", "failed", "cancelled"})
_CUT_SHORT = frozenset({"failed", "cancelled"})
OPEN_JOBS = tuple(state for state in JobStatus if not state.ended)
OPEN_ITEMS = tuple(state for state in ItemStatus if not state.ended)
OPEN_SEGMENTS = tuple(state for state in SegmentStatus if not state.ended)
ACTIVE_JOBS = (JobStatus.QUEUED, JobStatus.RUNNING)
# A retried job has items to process again, or only its exports to write.
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
    """Return the state in which a job ends whose items ended in these states."""
    ended = list(items)
    succeeded = ended.count(ItemStatus.SUCCEEDED)
    if succeeded == len(ended) and ended:
        return JobStatus.SUCCEEDED
    return JobStatus.SUCCEEDED_WITH_ERRORS if succeeded else JobStatus.FAILED
