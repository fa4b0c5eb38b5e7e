"""A job's life in a page of Python: what the store is to say after each event, and why."""

from __future__ import annotations

from dataclasses import dataclass

from faces_jobs.jobs.status import (
    ITEM_MOVES,
    JOB_MOVES,
    SEGMENT_MOVES,
    ItemStatus,
    JobStatus,
    SegmentStatus,
    final_job_status,
)

MAX_ATTEMPTS = 3
HELD_JOBS = (JobStatus.PAUSED, JobStatus.WAITING_FOR_SPACE)


class RefusedError(Exception):
    """The event is not possible in this state."""


@dataclass(eq=False)
class Segment:
    """A run of frames. `token` is the last claim's; `gone` after a retry made another."""

    status: SegmentStatus = SegmentStatus.QUEUED
    attempts: int = 0
    token: str | None = None
    expired: bool = False
    gone: bool = False

    def move(self, to: SegmentStatus) -> None:
        assert to in SEGMENT_MOVES[self.status], f"{self.status} -> {to}"
        self.status = to

    def holds(self, token: str) -> bool:
        return not self.gone and self.status is SegmentStatus.RUNNING and self.token == token


@dataclass(eq=False)
class Item:
    """One file; a refused one has no segment."""

    status: ItemStatus
    segment: Segment | None

    def move(self, to: ItemStatus) -> None:
        assert to in ITEM_MOVES[self.status], f"{self.status} -> {to}"
        self.status = to


@dataclass(eq=False)
class Job:
    """One job with its items; its own attempts and token are of its exports."""

    items: list[Item]
    priority: int = 1
    status: JobStatus = JobStatus.QUEUED
    started: bool = False
    attempts: int = 0
    token: str | None = None
    expired: bool = False
    exported: bool = False

    @classmethod
    def submitted(cls, refused: list[bool], *, priority: int) -> Job:
        return cls(
            [
                Item(ItemStatus.FAILED, None) if one else Item(ItemStatus.QUEUED, Segment())
                for one in refused
            ],
            priority=priority,
        )

    def move(self, to: JobStatus) -> None:
        assert to in JOB_MOVES[self.status], f"{self.status} -> {to}"
        self.status = to

    def is_free(self, segment: Segment) -> bool:
        waits = segment.status is SegmentStatus.QUEUED
        orphaned = segment.status is SegmentStatus.RUNNING and segment.expired
        return self.status.active and (waits or orphaned) and segment.attempts < MAX_ATTEMPTS

    def claim(self, item: Item, token: str) -> None:
        segment = item.segment
        assert segment is not None
        if segment.status is SegmentStatus.QUEUED:
            segment.move(SegmentStatus.RUNNING)
        segment.attempts += 1
        segment.token, segment.expired = token, False
        if item.status is ItemStatus.QUEUED:
            item.move(ItemStatus.RUNNING)
        if self.status is JobStatus.QUEUED:
            self.move(JobStatus.RUNNING)
            self.started = True

    def end(self, item: Item, to: SegmentStatus) -> None:
        assert item.segment is not None
        item.segment.move(to)
        item.move(ItemStatus(str(to)))
        self.finish_if_last()

    def end_all(self) -> None:
        for item in self.items:
            if item.segment is not None and not item.segment.status.ended:
                item.segment.move(SegmentStatus.FAILED)
                item.move(ItemStatus.FAILED)
        self.finish_if_last()

    def give_back(self, segment: Segment, *, counts: bool) -> None:
        segment.move(SegmentStatus.QUEUED)
        segment.token = None
        segment.attempts -= 0 if counts else 1

    def park(self, segment: Segment | None) -> None:
        if segment is not None:
            self.give_back(segment, counts=False)
        self.token = None
        if self.status in (JobStatus.RUNNING, JobStatus.FINISHING):
            self.move(JobStatus.WAITING_FOR_SPACE)

    def finish_if_last(self) -> None:
        if self.status.active and all(item.status.ended for item in self.items):
            self.move(JobStatus.FINISHING)
            self.attempts, self.token = 0, None

    def claim_exports(self, token: str) -> bool:
        free = self.token is None or self.expired
        if self.status is not JobStatus.FINISHING or not free or self.attempts >= MAX_ATTEMPTS:
            return False
        self.attempts += 1
        self.token, self.expired = token, False
        return True

    def holds_exports(self, token: str) -> bool:
        return self.status is JobStatus.FINISHING and self.token == token

    def finish(self) -> None:
        self.move(final_job_status(item.status for item in self.items))
        self.token, self.exported = None, True

    def cancel(self) -> None:
        if self.status is JobStatus.CANCELLED:
            return
        if self.status.ended:
            raise RefusedError
        for item in self.items:
            if item.segment is not None and not item.segment.status.ended:
                item.segment.move(SegmentStatus.CANCELLED)
            if not item.status.ended:
                item.move(ItemStatus.CANCELLED)
        self.move(JobStatus.CANCELLED)

    def pause(self) -> None:
        if self.status.ended:
            raise RefusedError
        if self.status is not JobStatus.PAUSED:
            self.move(JobStatus.PAUSED)
            self.token = None

    def resume(self) -> None:
        if self.status.ended:
            raise RefusedError
        if self.status not in HELD_JOBS:
            return
        if all(item.status.ended for item in self.items):
            self.move(JobStatus.FINISHING)
        else:
            self.move(JobStatus.RUNNING if self.started else JobStatus.QUEUED)
        self.attempts, self.token = 0, None

    def retry(self) -> None:
        if not self.status.ended:
            raise RefusedError
        again = [
            item
            for item in self.items
            if item.segment is not None and item.status in (ItemStatus.FAILED, ItemStatus.CANCELLED)
        ]
        if not again and self.exported:
            raise RefusedError
        for item in again:
            assert item.segment is not None
            item.segment.gone = True
            item.segment = Segment()
            item.move(ItemStatus.QUEUED)
        self.move(JobStatus.QUEUED if again else JobStatus.FINISHING)
        self.started = self.started and not again
        self.attempts, self.token = 0, None

    def sweep(self) -> None:
        for item in self.items:
            segment = item.segment
            if (
                segment is not None
                and segment.status is SegmentStatus.RUNNING
                and segment.expired
                and segment.attempts >= MAX_ATTEMPTS
            ):
                self.end(item, SegmentStatus.FAILED)
        free = self.token is None or self.expired
        if self.status is JobStatus.FINISHING and free and self.attempts >= MAX_ATTEMPTS:
            well = any(item.status is ItemStatus.SUCCEEDED for item in self.items)
            self.move(JobStatus.SUCCEEDED_WITH_ERRORS if well else JobStatus.FAILED)
            self.token = None
        if self.status is JobStatus.WAITING_FOR_SPACE:
            self.resume()

    def state(self) -> tuple[str, list[str], list[tuple[str, int]]]:
        """As `tests.integration.test_model` reads it from the store."""
        return (
            str(self.status),
            [str(item.status) for item in self.items],
            [
                (str(item.segment.status), item.segment.attempts)
                for item in self.items
                if item.segment is not None
            ],
        )
