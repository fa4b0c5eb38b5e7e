"""Deleting: a job with all its rows and files, and what died half-way left behind."""

from __future__ import annotations

import logging

from sqlalchemy import select

from faces_jobs.db.endings import is_visible
from faces_jobs.db.jobs import delete_job_rows
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.storage import LocalStorage

# Longer than any request or finishing takes: a file without a row that is younger may be about
# to get its row.
ORPHAN_SECONDS = 3600.0
# Longer than a worker may go without writing to its workspace.
STALE_SECONDS = 24 * 3600.0

_log = logging.getLogger(__name__)


def delete_job(job_id: str, *, database: Database, storage: LocalStorage) -> None:
    """Delete a job: rows first, then files. A worker that is at it finds its lease gone.

    Raises:
        NotFoundError: no such job.
    """
    with database.begin() as session:
        delete_job_rows(session, job_id)
    storage.delete_job(job_id)


def sweep_files(
    database: Database,
    storage: LocalStorage,
    *,
    orphan_seconds: float = ORPHAN_SECONDS,
    stale_seconds: float = STALE_SECONDS,
) -> int:
    """Remove files that no row speaks of. Returns how many folders were removed."""
    removed = storage.sweep(older_than_seconds=stale_seconds)
    for job_id, age in storage.job_folders():
        if not _job_exists(database, job_id):
            if age >= orphan_seconds:
                storage.delete_job(job_id)
                removed += 1
            continue
        for folder_key, attempt_age in storage.attempts(job_id):
            if attempt_age >= orphan_seconds and not is_visible(database, job_id, folder_key):
                storage.remove_attempt(folder_key)
                removed += 1
    if removed:
        _log.info("removed %d folders that no row speaks of", removed)
    return removed


def _job_exists(database: Database, job_id: str) -> bool:
    with database.read() as session:
        return session.scalar(select(JobRow.id).where(JobRow.id == job_id)) is not None
