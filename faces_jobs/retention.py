"""Deleting: a job with all its rows and files, seen to be gone, and what is kept long enough.

Rows go first, in one transaction that also writes a line of the audit; then the files; then
somebody looks. What is left (a file that can't be removed, a worker that has not let go yet) is
tried again by the sweep, until the line can say that nothing remains.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from faces_jobs.db.artifacts import is_visible
from faces_jobs.db.deletion import (
    OpenDeletion,
    delete_rows,
    expired_jobs,
    open_deletions,
    record_check,
    rows_left,
)
from faces_jobs.db.reconcile_queries import existing_jobs, live_tokens
from faces_jobs.db.session import Database
from faces_jobs.db.tokens import is_token_of
from faces_jobs.errors import NotFoundError, StorageError
from faces_jobs.storage import JobFolder, Storage

# Longer than any request or finishing takes: a file without a row that is younger may be about
# to get its row.
ORPHAN_SECONDS = 3600.0
# Longer than a worker may go without writing to its workspace.
STALE_SECONDS = 24 * 3600.0
MOST_AT_ONCE = 64

ASKED = "asked"
EXPIRED = "expired"
RETENTION = "retention"

SecondsOf = Callable[[str, float], float]
"""How long an orphan has been one: of its job's id or its key, and its age."""

_log = logging.getLogger(__name__)


def delete_job(
    job_id: str,
    *,
    database: Database,
    storage: Storage,
    why: str = ASKED,
    by: str = "api",
) -> bool:
    """Delete a job. A worker that is at it finds its lease gone.

    True: no row and no file of it remain, as a look has shown. False: its rows are gone, and the
    sweep sees to what is left of its files.

    Raises:
        NotFoundError: no such job; of those that are to be EXPIRED, none whose time is over.
    """
    with database.begin() as session:
        audit_id = delete_rows(session, job_id, why=why, by=by, only_expired=why == EXPIRED)
    (deletion,) = open_deletions(database, limit=1, audit_id=audit_id)
    return complete_deletion(deletion, database=database, storage=storage)


def complete_deletion(deletion: OpenDeletion, *, database: Database, storage: Storage) -> bool:
    """Remove what is left of a deleted job's files, look, and write down what was found.

    True: nothing remains.
    """
    removed = storage.delete_job(deletion.job_id)
    if not deletion.held:  # its workers had all the time there was
        for token in _workspaces_of(deletion.job_id, storage):
            storage.remove_workspace(token)
    problem = _what_remains(deletion, database, storage)
    if problem is not None and removed.error is not None:
        problem = f"{problem}: {removed.error}"
    record_check(database, deletion, files=removed.files, bytes_=removed.bytes, problem=problem)
    if problem is None:
        _log.info("job %s is deleted: no row and no file of it remain", deletion.job_id)
    else:
        _log.warning("job %s is not wholly deleted yet: %s", deletion.job_id, problem)
    return problem is None


def complete_deletions(database: Database, storage: Storage) -> int:
    """Look again at deletions that were not complete. Returns how many still are not."""
    due = open_deletions(database, limit=MOST_AT_ONCE)
    return sum(
        not complete_deletion(deletion, database=database, storage=storage) for deletion in due
    )


def delete_expired(database: Database, storage: Storage) -> int:
    """Delete jobs that were kept as long as asked. Returns how many."""
    deleted = 0
    for job_id in expired_jobs(database, limit=MOST_AT_ONCE):
        try:
            delete_job(job_id, database=database, storage=storage, why=EXPIRED, by=RETENTION)
        except NotFoundError:  # another sweep was faster, or its user has retried it
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
            return "a worker has not let go of it yet"
    except StorageError as error:
        return f"it can't be seen whether files remain: {error}"
    return None


def _workspaces_of(job_id: str, storage: Storage) -> list[str]:
    return [token for token, _ in storage.workspaces() if is_token_of(token, job_id)]


def remove_leftovers(storage: Storage, *, stale_seconds: float = STALE_SECONDS) -> int:
    """Remove what uploads, attempts and deletions that died long ago left behind."""
    return storage.sweep(older_than_seconds=stale_seconds)


def by_age(_key: str, age_seconds: float) -> float:
    """Take an orphan for one since it was written: right where all clocks agree."""
    return age_seconds


def remove_orphans(
    database: Database,
    storage: Storage,
    folders: Sequence[JobFolder],
    *,
    orphan_seconds: float = ORPHAN_SECONDS,
    seconds_of: SecondsOf = by_age,
) -> int:
    """Remove those of these few folders of jobs, and of their attempts, that no row speaks of.

    What is one for less than `orphan_seconds` is left: it may be about to get its row.
    """
    removed = 0
    existing = existing_jobs(database, [folder.job_id for folder in folders])
    for folder in folders:
        if folder.job_id in existing:
            removed += _remove_attempts(database, storage, folder, orphan_seconds, seconds_of)
        elif seconds_of(folder.job_id, folder.age_seconds) >= orphan_seconds:
            storage.delete_job(folder.job_id)
            removed += 1
    if removed:
        _log.info("removed %d folders that no row speaks of", removed)
    return removed


def _remove_attempts(
    database: Database,
    storage: Storage,
    folder: JobFolder,
    orphan_seconds: float,
    seconds_of: SecondsOf,
) -> int:
    # In this order, so that no clock is relied on: whose token is live is about to get its row;
    # whose is not live any more has it by now, or never will.
    live = live_tokens(database) if folder.attempts else set()
    removed = 0
    for key, age in folder.attempts:
        token = key.rpartition("-")[2]
        if token in live or is_visible(database, folder.job_id, key):
            continue
        if seconds_of(key, age) >= orphan_seconds:
            storage.remove_attempt(key)
            removed += 1
    return removed
