"""The reconciler: compares rows, broker and storage in both directions, and repairs differences.

Rows are the truth. Work that waits without a message is rung for (by the sweep); a message without
work is dropped. A file without a row is removed after some time, in which it may still get its row;
a row without its file is marked, since the file can't be restored. Each round inspects a bounded
number of rows and files and continues where the last one ended, so that all are inspected in turn.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TypeVar

from faces_jobs.db.jobs.discarding import delete_discarded
from faces_jobs.db.reconcile_queries import (
    StoredFileRow,
    artifacts_after,
    count_lost_leases,
    count_waiting_segments,
    finishing_jobs,
    live_tokens,
    mark_files,
)
from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError
from faces_jobs.logs import log_context
from faces_jobs.queue.messages import Message, Messages
from faces_jobs.queue.producer import JOB_TASK, SEGMENT_TASK
from faces_jobs.retention import (
    OrphanAge,
    by_age,
    complete_deletions,
    delete_expired,
    remove_leftovers,
    remove_orphans,
)
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage
from faces_jobs.worker.maintenance.first_seen import FirstSeen

MAX_MESSAGES = 1000
MAX_ARTIFACTS = 2000
MAX_FOLDERS = 500
DISCARD_SECONDS = 30.0
BATCH_SIZE = 64  # between two batches, the round checks whether it has to stop
# A workspace whose lease was taken over is kept for this many leases: its worker may only be
# suspended, and a lost lease gives it a clearer error than a missing folder.
WORKSPACE_LEASES = 10

Result = TypeVar("Result")
Element = TypeVar("Element")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What a round repaired, or found and can't repair (`files_missing`, `deletions_open`)."""

    rows_without_message: int = 0  # rung for
    messages_without_work: int = 0  # dropped
    leases_run_out: int = 0  # of dead workers; rung for
    files_missing: int = 0  # rows whose file is missing: marked
    files_back: int = 0  # rows whose file is there again: no longer marked
    files_without_row: int = 0  # folders: removed
    workspaces_left: int = 0  # of dead workers: removed
    jobs_expired: int = 0  # past their retention time: deleted
    deletions_open: int = 0  # not verified to be complete yet: tried again

    def counts(self) -> dict[str, int]:
        """Each figure by its name, for metrics and for logs."""
        return asdict(self)

    def repaired(self) -> dict[str, int]:
        """The figures of what this round repaired, without those that need another round."""
        counts = self.counts()
        del counts["leases_run_out"], counts["deletions_open"]
        return counts


class Reconciler:
    """Runs rounds, remembering where the last one ended. An error in one step stops no other.

    With `first_seen`, a file without a row is removed once the reconciler itself has seen it so
    for an hour; without, its age decides, since a single round has no other measure.
    """

    def __init__(
        self,
        *,
        database: Database,
        messages: Messages,
        storage: Storage,
        settings: Settings,
        first_seen: FirstSeen | None = None,
    ) -> None:
        self._database = database
        self._messages = messages
        self._storage = storage
        self._settings = settings
        self.stopped = threading.Event()  # set it to end the current round early
        self._first_seen = first_seen
        self._last_artifact = 0
        self._last_folder = ""

    def run_round(self, *, without_message: int = 0) -> ReconcileReport:
        """Run one round. `without_message`: of how many rows the sweep found no message since."""
        self._step(self._delete_discarded, default=False)
        missing, back = self._step(self._compare_files, (0, 0))
        report = ReconcileReport(
            rows_without_message=without_message,
            messages_without_work=self._step(self._drop_messages, 0),
            leases_run_out=self._step(
                lambda: count_lost_leases(self._database, limit=MAX_MESSAGES), 0
            ),
            files_missing=missing,
            files_back=back,
            files_without_row=self._step(self._remove_files, 0),
            workspaces_left=self._step(self._remove_workspaces, 0),
            jobs_expired=self._step(lambda: delete_expired(self._database, self._storage), 0),
            deletions_open=self._step(lambda: complete_deletions(self._database, self._storage), 0),
        )
        if report != ReconcileReport():
            figures = " ".join(
                f"{name}={count}" for name, count in report.counts().items() if count
            )
            _log.info("reconciled: %s", figures)
        return report

    def _step(self, work: Callable[[], Result], default: Result) -> Result:
        """Run one step; return the default if it fails or the round was stopped."""
        if self.stopped.is_set():
            return default
        try:
            return work()
        except (FacesJobsError, OSError) as error:
            _log.warning("a step of this round failed, the next round repeats it: %s", error)
            return default

    def _delete_discarded(self) -> bool:
        """Delete what a cancel or a failure discarded, if nobody has. Returns whether all is gone.

        For a limited time: a film's millions of rows must not keep the other steps waiting.
        """
        return delete_discarded(self._database, patience_seconds=DISCARD_SECONDS)

    def _drop_messages(self) -> int:
        """Drop segment messages beyond the waiting rows, and those of jobs that need no finish."""
        # Rows are counted before and after, so that what is submitted or claimed meanwhile does
        # not make a message look superfluous.
        before = count_waiting_segments(self._database, limit=MAX_MESSAGES)
        messages = self._messages.peek(MAX_MESSAGES)
        after = count_waiting_segments(self._database, limit=MAX_MESSAGES)
        segments = [message for message in messages if message.task == SEGMENT_TASK]
        jobs = [message for message in messages if message.task == JOB_TASK]
        to_finish = finishing_jobs(self._database, {str(message.argument) for message in jobs})
        # The newest are dropped: workers are about to take the oldest.
        excess: Sequence[Message] = [
            *segments[max(before, after) :],
            *(message for message in jobs if str(message.argument) not in to_finish),
        ]
        return sum(self._messages.drop(message) for message in excess)

    def _compare_files(self) -> tuple[int, int]:
        """Mark rows whose file is missing or there again. Returns how many of each."""
        rows = artifacts_after(self._database, self._last_artifact, limit=MAX_ARTIFACTS)
        self._last_artifact = rows[-1].id if len(rows) == MAX_ARTIFACTS else 0
        missing: list[StoredFileRow] = []
        found: list[int] = []
        for batch in self._batches_until_stopped(rows):
            existing = self._storage.existing([row.storage_key for row in batch])
            for row in batch:
                is_there = row.storage_key in existing
                if not is_there and not row.missing:
                    missing.append(row)
                elif is_there and row.missing:
                    found.append(row.id)
        if not missing and not found:
            return 0, 0
        # Not counted are files that were deleted together with their rows meanwhile.
        marked, back = mark_files(self._database, missing=[row.id for row in missing], found=found)
        for row in missing:
            if row.id in marked:
                with log_context(job=row.job_id):
                    _log.warning("the file of artifact %d is missing: %s", row.id, row.storage_key)
        return len(marked), len(back)

    def _remove_files(self) -> int:
        """Remove folders of jobs and attempts without rows, and what interrupted uploads left."""
        orphan_age: OrphanAge = by_age
        if self._first_seen is not None:
            orphan_age = self._first_seen.seconds
            if not self._last_folder:
                self._first_seen.begin_round()
        folders = list(islice(self._storage.job_folders(self._last_folder), MAX_FOLDERS))
        self._last_folder = folders[-1].job_id if len(folders) == MAX_FOLDERS else ""
        removed = remove_leftovers(self._storage)
        for batch in self._batches_until_stopped(folders):
            removed += remove_orphans(self._database, self._storage, batch, orphan_age=orphan_age)
        return removed

    def _remove_workspaces(self) -> int:
        """Remove workspaces without a lease."""
        seconds = WORKSPACE_LEASES * self._settings.lease_seconds
        old = {token for token, age in self._storage.workspaces() if age >= seconds}
        abandoned = old - live_tokens(self._database) if old else set()
        for token in abandoned:
            self._storage.remove_workspace(token)
        return len(abandoned)

    def _batches_until_stopped(self, elements: Sequence[Element]) -> Iterator[Sequence[Element]]:
        """Split into batches; ends early when the round is stopped."""
        for start in range(0, len(elements), BATCH_SIZE):
            if self.stopped.is_set():
                return
            yield elements[start : start + BATCH_SIZE]
