"""One run while it is disturbed: who takes part, what is struck, and when it was in hand again."""

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
from tests.faults.places import Place
from tests.faults.points import Piece
from tests.faults.processes import Actor, NotInTimeError
from tests.services import PATIENCE_SECONDS

LOOK_SECONDS = 0.05


@dataclass
class Scene:
    """What a fault may do something to."""

    place: Place
    victim: Actor  # it stands at the point, until `victim.go()`
    rescuer: Actor  # another of its kind
    piece: Piece  # what the victim has in hand
    recovered: threading.Event = field(default_factory=threading.Event)
    recovered_at: float | None = None

    def wait_until_recovered(self) -> None:
        """Wait until another has what the victim had.

        Raises:
            NotInTimeError: nobody takes it.
        """
        if not self.recovered.wait(PATIENCE_SECONDS):
            raise NotInTimeError(f"nobody took over {self.piece}")

    @contextmanager
    def watched(self, database: Database) -> Iterator[None]:
        """Note when the piece is in hand again, or done."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                try:
                    again = is_in_hand_again(database, self.piece)
                except DatabaseError:  # that may be the fault
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


def is_in_hand_again(database: Database, piece: Piece) -> bool:
    """Whether a piece is held under another token than it was, or is done."""
    with database.read() as session:
        if piece.table == "submissions":
            begun = session.scalars(
                select(SegmentRow.id).where(
                    SegmentRow.job_id == piece.key, SegmentRow.started_at.is_not(None)
                )
            )
            return begun.first() is not None
        if piece.table == "segments":
            segment = session.get(SegmentRow, piece.key)
            return segment is None or (
                segment.status.ended or segment.lease_token not in (None, piece.token)
            )
        if piece.table == "jobs":
            job = session.get_one(JobRow, piece.key)
            return job.status.ended or job.lease_token not in (None, piece.token)
        delivery = session.get_one(DeliveryRow, piece.key)
        return delivery.next_at is None or delivery.lease_token not in (None, piece.token)
