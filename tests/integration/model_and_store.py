"""A state machine that applies each event to the database and to the reference model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis.stateful import Bundle, RuleBasedStateMachine
from sqlalchemy import delete, select

from faces_jobs.db.claims.fencing import JobClaim, SegmentClaim
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import CancelledError, LeaseLostError, StateError
from faces_jobs.queue.producer import Queue
from tests.factories import StoredJob
from tests.integration.job_model import Item, Job, RefusedError, Segment
from tests.integration.memory_queue import MemoryQueue

# The database's claim, with the job, item and segment of the model that it belongs to.
ClaimAndModel = tuple[SegmentClaim, Job, Item, Segment]
ExportsAndModel = tuple[JobClaim, Job]


class StoreAndModel(RuleBasedStateMachine):
    """The base of the rules: each applies one event to both sides, whose states must then agree."""

    jobs = Bundle("jobs")
    claims = Bundle("claims")
    exports = Bundle("exports")

    database: Database  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[StoredJob, Job]] = []
        self.workers = 0
        self.queue: Queue = MemoryQueue()
        with self.database.begin() as session:
            session.execute(delete(JobRow))

    def segments(self, stored: StoredJob) -> dict[int, int]:
        """Map each item's id to the id of its segment."""
        with self.database.read() as session:
            rows = session.execute(
                select(SegmentRow.item_id, SegmentRow.id).where(SegmentRow.job_id == stored.id)
            )
            return {row.item_id: row.id for row in rows}

    def new_worker(self) -> str:
        """Return a worker name that was not used before."""
        self.workers += 1
        return f"worker-{self.workers}-"

    def worker_of(self, claim: SegmentClaim) -> str | None:
        """Return the name of the worker that holds this claim, or None if it no longer holds."""
        with self.database.read() as session:
            return session.scalar(
                select(SegmentRow.worker).where(SegmentRow.lease_token == claim.token)
            )

    def record_claim(self, found: SegmentClaim, job: Job, item: Item) -> ClaimAndModel:
        """Record a claim in the model, and return it with the model's rows."""
        job.claim(item, found.token)
        assert item.segment is not None
        assert item.segment.attempts == found.attempt
        return found, job, item, item.segment

    def act_under(self, act: Callable[[], Any], claim: SegmentClaim, segment: Segment) -> bool:
        """Act under a claim, and check that it succeeds if and only if the claim holds."""
        holds = segment.holds(claim.token)
        try:
            act()
        except (CancelledError, LeaseLostError):
            assert not holds
            return False
        assert holds
        return True

    def perform(self, act: Callable[[], Any], follow: Callable[[], None]) -> None:
        """Perform a user's action: both sides do it, or both refuse."""
        try:
            follow()
        except RefusedError:
            with pytest.raises(StateError):
                act()
        else:
            act()
