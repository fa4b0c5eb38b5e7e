"""Deletes jobs with all their rows and files, verifies this, and removes orphaned files.

One transaction hides the job and writes an audit entry; then its rows are deleted, in many short
transactions; then its files; then it is verified that nothing remains. If something does (a file
that can't be removed, a worker that still uses its workspace), or the process dies, the sweep goes
on with it until the audit entry can be closed.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

from faces_jobs.db.audit import OpenDeletion, open_deletions, record_check
from faces_jobs.db.claims.tokens import is_token_of
from faces_jobs.db.jobs.deletion import begin_deletion, delete_rows, expired_jobs, rows_left
from faces_jobs.db.reconcile_queries import existing_jobs, live_tokens
from faces_jobs.db.results.artifacts import visible_folders
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, StorageError
from faces_jobs.storage import JobFolder, Storage

# Longer than any request or finish takes: a younger file without a row may still get its row.
ORPHAN_SECONDS = 3600.0
# Longer than a worker may go without writing to its workspace.
STALE_SECONDS = 24 * 3600.0
BATCH_SIZE = 64
# How long a request waits for a deletion; the sweep does the rest of a very large job.
REQUEST_PATIENCE_SECONDS = 20.0

ASKED = "asked"
EXPIRED = "expired"
RETENTION = "retention"

OrphanAge = Callable[[str, float], float]
"""Maps an orphan's key (or its job's id) and its file age to how many seconds it is an orphan."""

_log = logging.getLogger(__name__)


def delete_job(
    job_id: str,
    *,
    database: Database,
    storage: Storage,
    why: str = ASKED,
    by: str = "api",
    patience_seconds: float = math.inf,
) -> bool:
    """Delete a job. A worker that is processing it finds its lease lost.

    Nobody sees it any more from the start. Returns True if it was verified that no row and no file
    of it remain. Otherwise the sweep removes the rest: files that are still in use, or all that
    there was not the patience for.

    Raises:
        NotFoundError: the job does not exist or, with `why=EXPIRED`, its retention time is not
            over.
    """
    with database.begin() as session:
        audit_id = begin_deletion(session, job_id, why=why, by=by, only_expired=why == EXPIRED)
    (deletion,) = open_deletions(database, limit=1, audit_id=audit_id)
    return complete_deletion(
        deletion, database=database, storage=storage, patience_seconds=patience_seconds
    )


def complete_deletion(
    deletion: OpenDeletion,
    *,
    database: Database,
    storage: Storage,
    patience_seconds: float = math.inf,
) -> bool:
    """Delete the remaining rows and files of a deleted job, and record whether anything is left.

    Returns True if nothing is left.
    """
    if not delete_rows(database, deletion, patience_seconds=patience_seconds):
        _log.info("job %s is large: the sweep deletes the rest of it", deletion.job_id)
        return False
    removed = storage.delete_job(deletion.job_id)
    if not deletion.held:  # the leases of its workers have run out
        for token in _workspaces_of(deletion.job_id, storage):
            storage.remove_workspace(token)
    problem = _what_remains(deletion, database, storage)
    if problem is not None and removed.error is not None:
        problem = f"{problem}: {removed.error}"
    record_check(database, deletion, files=removed.files, bytes_=removed.bytes, problem=problem)
    if problem is None:
        _log.info("job %s is deleted: no row and no file of it remain", deletion.job_id)
    else:
        _log.warning("job %s is not completely deleted yet: %s", deletion.job_id, problem)
    return problem is None


def complete_deletions(database: Database, storage: Storage) -> int:
    """Retry deletions that were not complete. Returns how many still are not."""
    due = open_deletions(database, limit=BATCH_SIZE)
    return sum(
        not complete_deletion(deletion, database=database, storage=storage) for deletion in due
    )


def delete_expired(database: Database, storage: Storage) -> int:
    """Delete jobs whose retention time is over. Returns how many."""
    deleted = 0
    for job_id in expired_jobs(database, limit=BATCH_SIZE):
        try:
            delete_job(job_id, database=database, storage=storage, why=EXPIRED, by=RETENTION)
        except NotFoundError:  # deleted by another sweep, or retried by its user
            continue
        deleted += 1
    return deleted


def _what_remains(deletion: OpenDeletion, database: Database, storage: Storage) -> str | None:
    rows = rows_left(database, deletion.job_id)
    if rows:
        return f"{rows} rows remain"
    try:
        files = storage.files_left(deletion.job_id)
        if files:
            return f"{files} files or folders remain"
        if _workspaces_of(deletion.job_id, storage):
            return "a worker has not released it yet"
    except StorageError as error:
        return f"the remaining files can't be counted: {error}"
    return None


def _workspaces_of(job_id: str, storage: Storage) -> list[str]:
    return [token for token, _ in storage.workspaces() if is_token_of(token, job_id)]


def remove_leftovers(storage: Storage) -> int:
    """Remove what interrupted uploads, attempts and deletions left behind long ago."""
    return storage.sweep(older_than_seconds=STALE_SECONDS)


def by_age(_key: str, age_seconds: float) -> float:
    """An `OrphanAge` that relies on the file's age, which is correct if all clocks agree."""
    return age_seconds


def remove_orphans(
    database: Database,
    storage: Storage,
    folders: Sequence[JobFolder],
    *,
    orphan_seconds: float = ORPHAN_SECONDS,
    orphan_age: OrphanAge = by_age,
) -> int:
    """Remove those of these folders of jobs and attempts that have no row. Returns how many.

    Orphans younger than `orphan_seconds` are kept, since they may still get their row.
    """
    removed = 0
    existing = existing_jobs(database, [folder.job_id for folder in folders])
    for folder in folders:
        if folder.job_id in existing:
            removed += _remove_attempts(database, storage, folder, orphan_seconds, orphan_age)
        elif orphan_age(folder.job_id, folder.age_seconds) >= orphan_seconds:
            storage.delete_job(folder.job_id)
            removed += 1
    if removed:
        _log.info("removed %d folders without a row", removed)
    return removed


def _remove_attempts(
    database: Database,
    storage: Storage,
    folder: JobFolder,
    orphan_seconds: float,
    orphan_age: OrphanAge,
) -> int:
    if not folder.attempts:
        return 0
    # Read before the rows, so that no clock is relied on: an attempt whose token is live may still
    # get its row; one whose token is not live any more has it by now, or never will.
    live = live_tokens(database)
    visible = visible_folders(database, folder.job_id)
    orphans = [
        key
        for key, age in folder.attempts
        if key.rpartition("-")[2] not in live
        and key not in visible
        and orphan_age(key, age) >= orphan_seconds
    ]
    storage.remove_attempts(orphans)
    return len(orphans)
