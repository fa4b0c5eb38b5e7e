"""One disturbed run: its processes, the row that the victim holds, and when it was recovered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryRow, JobRow, SegmentRow
from faces_jobs.errors import DatabaseError
from tests.faults.environments import Environment
from tests.faults.launched import Actor, NotInTimeError
from tests.faults.points import HeldRow
from tests.services import TIMEOUT_SECONDS

POLL_SECONDS = 0.05


@dataclass
class Scene:
    """What a fault can act on."""

    environment: Environment
    victim: Actor  # held at the point until `victim.go()`
    rescuer: Actor  # another of its kind
    held_row: HeldRow  # what the victim is working on
    recovered: threading.Event = field(default_factory=threading.Event)
    recovered_at: float | None = None

    def wait_until_recovered(self) -> None:
        """Wait until another process holds the victim's row, or it is done.

        Raises:
            NotInTimeError: nobody took it over in time.
        """
        if not self.recovered.wait(TIMEOUT_SECONDS):
            raise NotInTimeError(f"nobody took over {self.held_row}")

    @contextmanager
    def watched(self, database: Database) -> Iterator[None]:
        """Record when the row is held again, or done."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(POLL_SECONDS):
                try:
                    again = is_recovered(database, self.held_row)
                except DatabaseError:  # possibly the fault itself
                    continue
                if again:
                    self.recovered_at = time.monotonic()
                    self.recovered.set()
                    return

        thread = threading.Thread(target=watch, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def is_recovered(database: Database, held_row: HeldRow) -> bool:
    """Whether a row is held under another token than before, or is done."""
    with database.read() as session:
        if held_row.table == "submissions":
            begun = session.scalars(
                select(SegmentRow.id).where(
                    SegmentRow.job_id == held_row.key, SegmentRow.started_at.is_not(None)
                )
            )
            return begun.first() is not None
        if held_row.table == "segments":
            segment = session.get(SegmentRow, held_row.key)
            return segment is None or (
                segment.status.ended or segment.lease_token not in (None, held_row.token)
            )
        if held_row.table == "jobs":
            job = session.get_one(JobRow, held_row.key)
            return job.status.ended or job.lease_token not in (None, held_row.token)
        delivery = session.get_one(DeliveryRow, held_row.key)
        return delivery.next_at is None or delivery.lease_token not in (None, held_row.token)
