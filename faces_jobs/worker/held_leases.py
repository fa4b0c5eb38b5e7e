"""Holds on to what is claimed for as long as it is worked on."""

from __future__ import annotations

from collections.abc import Callable

from faces_jobs.db.bundles import renew_bundle
from faces_jobs.db.claims import Bundle, JobClaim, SegmentClaim
from faces_jobs.db.leases import renew_job, renew_segment
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.memory import peak_memory_bytes
from faces_jobs.worker.resources import Worker


class _RoomyHeartbeat(Heartbeat):
    """A heart that sees, whenever work goes on, that there is room left."""

    def __init__(self, renew: Callable[[int, int | None], None], worker: Worker) -> None:
        super().__init__(
            renew,
            every_seconds=worker.settings.heartbeat_seconds,
            stop_requested=worker.stop_requested,
        )
        self._storage = worker.storage

    def keep_alive(self) -> None:
        """Tell that work goes on; see `Heartbeat.keep_alive`.

        Raises:
            StorageFullError: the reserve is touched, which is for others: for rows, above all.
        """
        super().keep_alive()
        self._storage.check_room()


class SegmentLease(_RoomyHeartbeat):
    """A heart that beats for one claim."""

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


class BundleLease(_RoomyHeartbeat):
    """A heart that beats for images that were claimed together."""

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
    """A heart that beats for a job while its exports are written, also from the reserve."""

    def __init__(self, claim: JobClaim, worker: Worker) -> None:
        def renew(_frames_done: int, _frames_total: int | None) -> None:
            renew_job(worker.database, claim, lease_seconds=worker.settings.lease_seconds)

        super().__init__(
            renew,
            every_seconds=worker.settings.heartbeat_seconds,
            stop_requested=worker.stop_requested,
        )
