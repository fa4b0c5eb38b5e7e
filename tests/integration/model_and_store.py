"""The real store and the small model beside it, and how they are held to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine
from sqlalchemy import delete, select

from faces_jobs.db.claims import JobClaim, SegmentClaim
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import CancelledError, LeaseLostError, StateError
from faces_jobs.queue import Queue
from tests.factories import StoredJob
from tests.integration.job_model import Item, Job, RefusedError, Segment
from tests.integration.test_sweep import MemoryQueue

# A worker's claim: the store's, and the model's job, item and segment that it is of.
Held = tuple[SegmentClaim, Job, Item, Segment]
HeldExports = tuple[JobClaim, Job]


class StoreAndModel(RuleBasedStateMachine):
    """What every rule works with. A rule does the same to both; then they say the same."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")
    exports = Bundle("exports")

    database: Database  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[StoredJob, Job]] = []
        self.workers = 0
        self.bells: Queue = MemoryQueue()
        with self.database.begin() as session:
            session.execute(delete(JobRow))

    def segments(self, stored: StoredJob) -> dict[int, int]:
        """The segment of each item, by the items' numbers."""
        with self.database.read() as session:
            rows = session.execute(
                select(SegmentRow.item_id, SegmentRow.id).where(SegmentRow.job_id == stored.id)
            )
            return {row.item_id: row.id for row in rows}

    def new_worker(self) -> str:
        self.workers += 1
        return f"worker-{self.workers}-"

    def worker_of(self, claim: SegmentClaim) -> str | None:
        """Who holds this claim, while it holds."""
        with self.database.read() as session:
            return session.scalar(
                select(SegmentRow.worker).where(SegmentRow.lease_token == claim.token)
            )

    def held(self, found: SegmentClaim, job: Job, item: Item) -> Held:
        job.claim(item, found.token)
        assert item.segment is not None
        assert item.segment.attempts == found.attempt
        return found, job, item, item.segment

    def tried(self, act: Callable[[], Any], claim: SegmentClaim, segment: Segment) -> bool:
        """Do something under a claim: it counts if, and only if, the claim holds."""
        holds = segment.holds(claim.token)
        try:
            act()
        except (CancelledError, LeaseLostError):
            assert not holds
            return False
        assert holds
        return True

    def said(self, act: Callable[[], Any], follow: Callable[[], None]) -> None:
        """Do what a user asks for: both do it, or both refuse."""
        try:
            follow()
        except RefusedError:
            with pytest.raises(StateError):
                act()
        else:
            act()
