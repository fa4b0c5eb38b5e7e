"""The leases that a worker holds on a segment, a bundle or a job while it works on them.

Work that is stuck can't be interrupted, and would occupy its worker for ever. So the process ends:
its attempt counts, and its parent starts another one (`faces-jobs up`, a container's restart).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NoReturn

from faces_jobs.db.claims.evidence import record_worker_death
from faces_jobs.db.claims.fencing import Bundle, JobClaim, SegmentClaim
from faces_jobs.db.claims.leases import renew_job, renew_segment
from faces_jobs.db.segments.bundles import renew_bundle
from faces_jobs.worker.exit_now import exit_now
from faces_jobs.worker.heartbeat import STALL_SECONDS, Heartbeat
from faces_jobs.worker.memory import peak_memory_bytes
from faces_jobs.worker.resources import Worker

STUCK = f"it made no progress for {STALL_SECONDS:.0f} s, so its worker process was ended."


def end_stuck(worker: Worker) -> NoReturn:
    """End this process, and record that the attempts at all it holds ended without a result."""
    exit_now(
        partial(
            record_worker_death,
            worker.database,
            worker_prefix=worker.name,
            reason=STUCK,
            exit_signal=None,
            delay=worker.settings.retry_seconds,
        ),
        code=1,
    )


class _SpaceCheckingHeartbeat(Heartbeat):
    """A heartbeat that also checks, whenever work reports activity, that space is left."""

    def __init__(self, renew: Callable[[int, int | None], None], worker: Worker) -> None:
        super().__init__(
            renew,
            interval_seconds=worker.settings.heartbeat_seconds,
            stop_requested=worker.stop_requested,
            on_stall=partial(end_stuck, worker),
        )
        self._storage = worker.storage

    def keep_alive(self) -> None:
        """Report activity; see `Heartbeat.keep_alive`.

        Raises:
            StorageFullError: less space is free than the reserve, which is kept for the database.
        """
        super().keep_alive()
        self._storage.check_free_space()


class SegmentLease(_SpaceCheckingHeartbeat):
    """Keeps the lease on one claimed segment."""

    def __init__(self, claim: SegmentClaim, worker: Worker) -> None:
        def renew(frames_done: int, frames_total: int | None) -> None:
            renew_segment(
                worker.database,
                claim,
                lease_seconds=worker.settings.lease_seconds,
                frames_done=frames_done,
                frames_total=frames_total,
                peak_memory_bytes=peak_memory_bytes(),
            )

        super().__init__(renew, worker)


class BundleLease(_SpaceCheckingHeartbeat):
    """Keeps the leases on images that were claimed together."""

    def __init__(self, bundle: Bundle, worker: Worker) -> None:
        def renew(_frames_done: int, _frames_total: int | None) -> None:
            renew_bundle(
                worker.database,
                bundle,
                lease_seconds=worker.settings.lease_seconds,
                peak_memory_bytes=peak_memory_bytes(),
            )

        super().__init__(renew, worker)


class JobLease(Heartbeat):
    """Keeps the lease on a job while its exports are written, which may use the reserve."""

    def __init__(self, claim: JobClaim, worker: Worker) -> None:
        def renew(_frames_done: int, _frames_total: int | None) -> None:
            renew_job(worker.database, claim, lease_seconds=worker.settings.lease_seconds)

        super().__init__(
            renew,
            interval_seconds=worker.settings.heartbeat_seconds,
            stop_requested=worker.stop_requested,
            on_stall=partial(end_stuck, worker),
        )
