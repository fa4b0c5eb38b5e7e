"""The reconciler: compares rows, broker and storage, both ways, and mends what does not agree.

Rows are the truth. What waits in them without a message is rung for; a message for which there is
no work is dropped. A file without a row goes, after a time in which it may get one; a row without
its file is marked, since nothing can bring the file back. Each round looks at a bounded part, goes
on where the last one ended, and so comes round to everything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TypeVar

from faces_jobs.db.reconcile_queries import (
    artifacts_after,
    finishing_jobs,
    live_tokens,
    lost_leases,
    mark_files,
    waiting_rows,
)
from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError
from faces_jobs.queue import JOB_TASK, SEGMENT_TASK
from faces_jobs.queue_messages import Message, Messages
from faces_jobs.retention import (
    SecondsOf,
    by_age,
    complete_deletions,
    delete_expired,
    remove_leftovers,
    remove_orphans,
)
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage
from faces_jobs.worker.first_seen import FirstSeen

MAX_MESSAGES = 1000
MAX_ARTIFACTS = 2000
MAX_FOLDERS = 500
# After so many it is seen whether this process is to end.
MOST_AT_ONCE = 64
# A workspace whose lease was taken over is left alone for so many leases: its worker may only
# sleep, and tells a lost lease more clearly than a lost folder.
WORKSPACE_LEASES = 10

Outcome = TypeVar("Outcome")
Thing = TypeVar("Thing")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What a round repaired, or found and can't mend (`..._missing`, `deletions_open`)."""

    rows_without_message: int = 0  # rung for
    messages_without_work: int = 0  # dropped
    leases_run_out: int = 0  # of workers that are gone; rung for
    files_missing: int = 0  # rows whose file is gone: marked
    files_back: int = 0  # rows whose file came back: no longer marked
    files_without_row: int = 0  # folders: removed
    workspaces_left: int = 0  # of workers that are gone: removed
    jobs_expired: int = 0  # kept as long as asked: deleted
    deletions_open: int = 0  # not seen to be complete yet: tried again

    def counts(self) -> dict[str, int]:
        """Each figure by its name, for metrics and for logs."""
        return asdict(self)

    def repaired(self) -> dict[str, int]:
        """What was put right in this round; not what is only waited for."""
        counts = self.counts()
        del counts["leases_run_out"], counts["deletions_open"]
        return counts


class Reconciler:
    """Remembers how far it came, and what went wrong with one part stops no other.

    With `first_seen`, files without a row go that it has itself seen so for an hour; without, by
    their age, since who looks once has no other measure.
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
        self.stopped = threading.Event()  # set it, and the round in hand ends soon
        self._first_seen = first_seen
        self._last_artifact = 0
        self._last_folder = ""

    def run_round(self, *, rung: int = 0) -> ReconcileReport:
        """One round. `rung`: how many rows were rung for since the last one."""
        missing, back = self._part(self._compare_files, (0, 0))
        report = ReconcileReport(
            rows_without_message=rung,
            messages_without_work=self._part(self._drop_messages, 0),
            leases_run_out=self._part(lambda: lost_leases(self._database, limit=MAX_MESSAGES), 0),
            files_missing=missing,
            files_back=back,
            files_without_row=self._part(self._remove_files, 0),
            workspaces_left=self._part(self._remove_workspaces, 0),
            jobs_expired=self._part(lambda: delete_expired(self._database, self._storage), 0),
            deletions_open=self._part(lambda: complete_deletions(self._database, self._storage), 0),
        )
        if report != ReconcileReport():
            told = " ".join(f"{name}={count}" for name, count in report.counts().items() if count)
            _log.info("reconciled: %s", told)
        return report

    def _part(self, work: Callable[[], Outcome], nothing: Outcome) -> Outcome:
        if self.stopped.is_set():
            return nothing
        try:
            return work()
        except (FacesJobsError, OSError) as error:
            _log.warning("a part of this round was cut short, the next goes on: %s", error)
            return nothing

    def _drop_messages(self) -> int:
        """Drop bells that more ring than there is work, and jobs' that have nothing to finish."""
        # Counted before and after: what is submitted or taken meanwhile is not taken for too much.
        before = waiting_rows(self._database, limit=MAX_MESSAGES)
        messages = self._messages.peek(MAX_MESSAGES)
        after = waiting_rows(self._database, limit=MAX_MESSAGES)
        segments = [one for one in messages if one.task == SEGMENT_TASK]
        jobs = [one for one in messages if one.task == JOB_TASK]
        to_finish = finishing_jobs(self._database, {str(one.argument) for one in jobs})
        # The newest go: workers are about to take the oldest.
        excess: Sequence[Message] = [
            *segments[max(before, after) :],
            *(one for one in jobs if str(one.argument) not in to_finish),
        ]
        return sum(self._messages.drop(one) for one in excess)

    def _compare_files(self) -> tuple[int, int]:
        """Mark rows whose file is missing or back. Returns how many of each."""
        rows = artifacts_after(self._database, self._last_artifact, limit=MAX_ARTIFACTS)
        self._last_artifact = rows[-1].id if len(rows) == MAX_ARTIFACTS else 0
        missing, found = [], []
        for some in self._until_stopped(rows):
            kept = self._storage.existing([row.storage_key for row in some])
            for row in some:
                there = row.storage_key in kept
                if not there and not row.missing:
                    _log.warning("the file of artifact %d is missing: %s", row.id, row.storage_key)
                    missing.append(row.id)
                elif there and row.missing:
                    found.append(row.id)
        if missing or found:
            mark_files(self._database, missing=missing, found=found)
        return len(missing), len(found)

    def _remove_files(self) -> int:
        """Remove folders of jobs and attempts that no row speaks of, and what uploads left."""
        seconds_of: SecondsOf = by_age
        if self._first_seen is not None:
            seconds_of = self._first_seen.seconds
            if not self._last_folder:
                self._first_seen.begin_round()
        part = list(islice(self._storage.job_folders(self._last_folder), MAX_FOLDERS))
        self._last_folder = part[-1].job_id if len(part) == MAX_FOLDERS else ""
        removed = remove_leftovers(self._storage)
        for some in self._until_stopped(part):
            removed += remove_orphans(self._database, self._storage, some, seconds_of=seconds_of)
        return removed

    def _remove_workspaces(self) -> int:
        """Remove workspaces whose lease is gone."""
        seconds = WORKSPACE_LEASES * self._settings.lease_seconds
        old = {token for token, age in self._storage.workspaces() if age >= seconds}
        gone = old - live_tokens(self._database) if old else set()
        for token in gone:
            self._storage.remove_workspace(token)
        return len(gone)

    def _until_stopped(self, things: Sequence[Thing]) -> Iterator[Sequence[Thing]]:
        """These, some at a time, as long as this process is not to end."""
        for start in range(0, len(things), MOST_AT_ONCE):
            if self.stopped.is_set():
                return
            yield things[start : start + MOST_AT_ONCE]
