"""One attempt at a segment: its heart, a folder to work in, and how its end is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.storage import StoredFile, told_when_full
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.holding import Holding
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source


@dataclass(frozen=True, slots=True)
class Attempt:
    """What every stage works with. Its methods raise what `attempt_at` tells."""

    claim: SegmentClaim
    worker: Worker
    heartbeat: Heartbeat
    workspace: Path  # of this attempt alone; gone afterwards
    out: Path  # in it: what is to be kept

    def goes_on(self) -> None:
        """Tell that work goes on whose frames are not counted, and see whether it still may."""
        self.heartbeat.goes_on()

    def source(self) -> AbstractContextManager[Path]:
        """The file that the item stands for; see `open_source`."""
        worker = self.worker
        return open_source(
            self.claim,
            storage=worker.storage,
            roots=worker.settings.roots,
            on_progress=self.goes_on,
        )

    def publish(self) -> Mapping[str, StoredFile]:
        """Move the files of `out` to where they are kept, unseen until rows tell of them.

        The heart beats no more: what is left of the lease is for recording them.
        """
        claim = self.claim
        stored = self.worker.storage.publish(
            self.out,
            job_id=claim.job_id,
            owner=str(claim.item_id),
            token=claim.token,
            on_progress=self.goes_on,
        )
        self.heartbeat.stop()
        return stored

    def record(self, write: Callable[[], bool]) -> bool:
        """Write the rows, or remove what was published. True: the job is to be finished now."""
        claim = self.claim
        files = Published(claim.job_id, str(claim.item_id), claim.token)
        return bool(record(self.worker, files, write))


@contextmanager
def attempt_at(claim: SegmentClaim, worker: Worker) -> Iterator[Attempt]:
    """Hold on to a claim while it is worked on.

    Raises:
        StorageFullError: there is no room, or no more than the reserve.
        StorageError: files can't be reached now.
        CancelledError, PausedError, LeaseLostError: the claim no longer holds.
        StopRequestedError: this worker is to end.
        DatabaseError: what came of it could not be recorded.
    """
    with (
        Holding(claim, worker) as heartbeat,
        told_when_full(),
        worker.storage.workspace(claim.token) as workspace,
    ):
        out = workspace / "out"
        out.mkdir()
        yield Attempt(claim, worker, heartbeat, workspace, out)
