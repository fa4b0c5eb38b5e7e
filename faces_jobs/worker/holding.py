"""Holds on to a claimed segment for as long as it is worked on."""

from __future__ import annotations

from contextlib import AbstractContextManager

from faces_jobs.db.claims import SegmentClaim, renew_segment
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.memory import peak_memory_bytes
from faces_jobs.worker.resources import Worker


def held(claim: SegmentClaim, worker: Worker) -> AbstractContextManager[Heartbeat]:
    """A heart that beats for this claim, to be used with `with`."""
    settings = worker.settings

    def renew(frames_done: int, frames_total: int | None) -> None:
        renew_segment(
            worker.database,
            claim,
            lease_seconds=settings.lease_seconds,
            frames_done=frames_done,
            frames_total=frames_total,
            peak_memory_bytes=peak_memory_bytes(),
        )

    return Heartbeat(
        renew,
        every_seconds=settings.heartbeat_seconds,
        stop_requested=worker.stop_requested,
    )
