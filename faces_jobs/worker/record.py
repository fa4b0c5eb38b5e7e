"""Records an attempt whose files are published: writes its rows, or removes the files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from faces_jobs.db.results.artifacts import is_visible
from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    FacesJobsError,
    LeaseLostError,
    PausedError,
)
from faces_jobs.worker.resources import Worker

Outcome = TypeVar("Outcome")

# A restarted database is back within seconds, which should not cost hours of work.
RETRY_DELAYS_SECONDS = (1.0, 3.0, 6.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptFiles:
    """Identifies the files that an attempt publishes."""

    job_id: str
    owner: str
    token: str


def record(worker: Worker, files: AttemptFiles, write: Callable[[], Outcome]) -> Outcome | None:
    """Write the rows of an attempt, with a few retries while the database does not answer.

    If the rows can't be written the files are removed. Returns None if the rows had already been
    written by a try whose response was lost.

    Raises:
        CancelledError, LeaseLostError, PausedError: the claim no longer holds.
        DatabaseError, StorageFullError: the rows could not be written.
    """
    try:
        return _write_with_retries(worker, write)
    except FacesJobsError as error:
        if _discard_unless_recorded(worker, files):
            _log.warning("recorded, although the database reported an error: %s", error)
            return None
        raise


def _write_with_retries(worker: Worker, write: Callable[[], Outcome]) -> Outcome:
    for delay in RETRY_DELAYS_SECONDS:
        try:
            return write()
        except (CancelledError, LeaseLostError, PausedError):
            raise
        except DatabaseError as error:
            _log.warning("not recorded, trying again in %.0f s: %s", delay, error)
            worker.stop_requested.wait(delay)
    return write()


def _discard_unless_recorded(worker: Worker, files: AttemptFiles) -> bool:
    """Remove the published files unless rows refer to them. Returns whether rows do."""
    storage = worker.storage
    key = storage.attempt_key(job_id=files.job_id, owner=files.owner, token=files.token)
    try:
        if is_visible(worker.database, files.job_id, key):
            return True
    except DatabaseError as error:
        # Unknown, so they are kept: the sweep removes files without rows, but nothing restores
        # the files of rows.
        _log.warning("the published files are left to the sweep: %s", error)
        return False
    storage.unpublish(job_id=files.job_id, owner=files.owner, token=files.token)
    return False
