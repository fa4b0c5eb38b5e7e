"""Records an attempt whose files are published: the rows make them visible, or they go away."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from faces_jobs.db.artifacts import is_visible
from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    FacesJobsError,
    LeaseLostError,
    PausedError,
)
from faces_jobs.worker.resources import Worker

Outcome = TypeVar("Outcome")

# A database that is restarted is back in seconds; hours of work should not be lost to that.
PAUSES_SECONDS = (1.0, 3.0, 6.0)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """Which files an attempt has published."""

    job_id: str
    owner: str
    token: str


def record(worker: Worker, files: Published, write: Callable[[], Outcome]) -> Outcome | None:
    """Write the rows of an attempt, trying again while the database does not answer.

    Where the rows are not written the files are removed. None: the rows had been written by a
    try whose answer got lost.

    Raises:
        CancelledError, LeaseLostError, PausedError: the claim no longer holds.
        DatabaseError, StorageFullError: the rows could not be written.
    """
    try:
        return _persistently(worker, write)
    except FacesJobsError as error:
        if not _discard(worker, files):
            raise
        _log.warning("recorded, though the database seemed to say otherwise: %s", error)
        return None


def _persistently(worker: Worker, write: Callable[[], Outcome]) -> Outcome:
    for pause in PAUSES_SECONDS:
        try:
            return write()
        except (CancelledError, LeaseLostError, PausedError):
            raise
        except DatabaseError as error:
            _log.warning("trying again in %.0f s: %s", pause, error)
            worker.stop_requested.wait(pause)
    return write()


def _discard(worker: Worker, files: Published) -> bool:
    """Remove published files that no row speaks of. True if rows do."""
    storage = worker.storage
    key = storage.attempt_key(job_id=files.job_id, owner=files.owner, token=files.token)
    try:
        if is_visible(worker.database, files.job_id, key):
            return True
    except DatabaseError as error:
        # Not known: files without rows are removed by the sweep, rows without files never heal.
        _log.warning("published files are left for the sweep: %s", error)
        return False
    storage.unpublish(job_id=files.job_id, owner=files.owner, token=files.token)
    return False
