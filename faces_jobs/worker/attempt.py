"""One attempt at claimed work: its heartbeat, its workspace, and publishing its files and rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from faces_jobs.db.claims.fencing import Bundle, JobClaim, SegmentClaim
from faces_jobs.storage import StoredFile, raising_storage_full
from faces_jobs.storage.progress import Progress
from faces_jobs.worker.heartbeat import Heartbeat
from faces_jobs.worker.held_leases import BundleLease, JobLease, SegmentLease
from faces_jobs.worker.record import AttemptFiles, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

EXPORTS_OWNER = "job"

Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a segment, a bundle or a job's exports.

    Its methods raise what `segment_attempt` lists.
    """

    worker: Worker
    heartbeat: Heartbeat
    files: AttemptFiles  # where its files are published
    workspace: Path  # used by this attempt only; removed at its end
    out: Path  # the subfolder of the workspace whose files are published

    def keep_alive(self) -> None:
        """Report activity that has no frame count; see `Heartbeat.keep_alive`."""
        self.heartbeat.keep_alive()

    def publish(self, *, on_progress: Progress | None = None) -> Mapping[str, StoredFile]:
        """Move the files of `out` to the storage; they stay invisible until rows refer to them.

        Stops the heartbeat: what is left of the lease is the time to record the rows.
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
        """Write the rows, or remove the published files; see `record.record`."""
        return record(self.worker, self.files, write)


@dataclass(frozen=True, slots=True)
class SegmentAttempt(Attempt):
    """An attempt at one segment."""

    claim: SegmentClaim

    def source(self) -> AbstractContextManager[Path]:
        """Open the item's source file; see `open_source`."""
        return open_source(
            self.claim,
            storage=self.worker.storage,
            roots=self.worker.settings.roots,
            on_progress=self.keep_alive,
        )


@contextmanager
def segment_attempt(claim: SegmentClaim, worker: Worker) -> Iterator[SegmentAttempt]:
    """Keep a claim's lease and a workspace while the block runs.

    Raises:
        StorageFullError: less space is free than the reserve.
        StorageError: the storage is not available.
        CancelledError, PausedError, LeaseLostError: the claim no longer holds.
        StopRequestedError: this worker was told to stop.
        DatabaseError: the outcome could not be recorded.
    """
    files = AttemptFiles(claim.job_id, str(claim.item_id), claim.token)
    with SegmentLease(claim, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield SegmentAttempt(worker, heartbeat, files, workspace, out, claim)


@contextmanager
def bundle_attempt(bundle: Bundle, worker: Worker) -> Iterator[Attempt]:
    """Like `segment_attempt`, for a bundle. Its files are published under its first image."""
    first = bundle[0]
    files = AttemptFiles(first.job_id, str(first.item_id), first.token)
    with BundleLease(bundle, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield Attempt(worker, heartbeat, files, workspace, out)


@contextmanager
def job_attempt(claim: JobClaim, worker: Worker) -> Iterator[Attempt]:
    """Like `segment_attempt`, for a job whose exports are written."""
    files = AttemptFiles(claim.job_id, EXPORTS_OWNER, claim.token)
    with JobLease(claim, worker) as heartbeat, _workspace(worker, files) as (workspace, out):
        yield Attempt(worker, heartbeat, files, workspace, out)


@contextmanager
def _workspace(worker: Worker, files: AttemptFiles) -> Iterator[tuple[Path, Path]]:
    with raising_storage_full(), worker.storage.workspace(files.token) as workspace:
        out = workspace / "out"
        out.mkdir()
        yield workspace, out
