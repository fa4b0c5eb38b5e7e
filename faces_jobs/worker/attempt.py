"""One attempt: a heart, a folder to work in, and how what comes of it is published and recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from faces_jobs.db.claims import Bundle, JobClaim, SegmentClaim
from faces_jobs.storage import StoredFile, raising_storage_full
from faces_jobs.storage.progress import Progress
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.held_leases import BundleLease, JobLease, SegmentLease
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

OWNER_OF_EXPORTS = "job"

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What all work goes by, on a segment, a bundle or a job's exports.

    Its methods raise what `segment_attempt` tells.
    """

    worker: Worker
    heartbeat: Heartbeat
    files: Published  # what its files are published as
    workspace: Path  # of this attempt alone; gone afterwards
    out: Path  # in it: what is to be kept

    def keep_alive(self) -> None:
        """Tell that work goes on whose frames are not counted, and see whether it still may."""
        self.heartbeat.keep_alive()

    def publish(self, *, on_progress: Progress | None = None) -> Mapping[str, StoredFile]:
        """Move the files of `out` to where they are kept, unseen until rows tell of them.

        The heart beats no more: what is left of the lease is for recording them.
        """
        stored = self.worker.storage.publish(
            self.out,
            job_id=self.files.job_id,
            owner=self.files.owner,
            token=self.files.token,
            on_progress=on_progress or self.keep_alive,
        )
        self.heartbeat.stop()
        return stored

    def record(self, write: Callable[[], Outcome]) -> Outcome | None:
        """Write the rows, or remove what was published; see `record.record`."""
        return record(self.worker, self.files, write)


@dataclass(frozen=True, slots=True)
class SegmentAttempt(Attempt):
    """An attempt at one segment."""

    claim: SegmentClaim

    def source(self) -> AbstractContextManager[Path]:
        """The file that the item stands for; see `open_source`."""
        return open_source(
            self.claim,
            storage=self.worker.storage,
            roots=self.worker.settings.roots,
            on_progress=self.keep_alive,
        )


@contextmanager
def segment_attempt(claim: SegmentClaim, worker: Worker) -> Iterator[SegmentAttempt]:
    """Hold on to a claim while it is worked on.

    Raises:
        StorageFullError: there is no room, or no more than the reserve.
        StorageError: files can't be reached now.
        CancelledError, PausedError, LeaseLostError: the claim no longer holds.
        StopRequestedError: this worker is to end.
        DatabaseError: what came of it could not be recorded.
    """
    files = Published(claim.job_id, str(claim.item_id), claim.token)
    with SegmentLease(claim, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield SegmentAttempt(worker, heartbeat, files, workspace, out, claim)


@contextmanager
def bundle_attempt(bundle: Bundle, worker: Worker) -> Iterator[Attempt]:
    """Hold on to a bundle; see `segment_attempt`. Its files are called after its first image."""
    first = bundle[0]
    files = Published(first.job_id, str(first.item_id), first.token)
    with BundleLease(bundle, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield Attempt(worker, heartbeat, files, workspace, out)


@contextmanager
def job_attempt(claim: JobClaim, worker: Worker) -> Iterator[Attempt]:
    """Hold on to a job whose exports are written; see `segment_attempt`."""
    files = Published(claim.job_id, OWNER_OF_EXPORTS, claim.token)
    with JobLease(claim, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield Attempt(worker, heartbeat, files, workspace, out)


@contextmanager
def _workspace(worker: Worker, files: Published) -> Iterator[tuple[Path, Path]]:
    with raising_storage_full(), worker.storage.workspace(files.token) as workspace:
        out = workspace / "out"
        out.mkdir()
        yield workspace, out
