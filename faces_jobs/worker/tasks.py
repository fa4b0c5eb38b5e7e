"""The Celery tasks of a worker. Each message carries an id and may arrive twice, late or never.

A segment's id only says that there is work: which segment is claimed is decided by the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from faces_jobs.errors import DatabaseError, StorageFullError
from faces_jobs.queue.producer import JOB_TASK, SEGMENT_TASK
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.ringing import ring

_log = logging.getLogger(__name__)


def add_tasks(app: Celery, worker: Worker) -> None:
    """Register the tasks with the app, bound to this process's resources."""

    @app.task(name=SEGMENT_TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery ships no types
    def segment(segment_id: int) -> None:
        if worker.stop_requested.is_set():
            # Celery's loop reads one more message after SIGTERM, often that of the segment that
            # was just released: leave it to other workers.
            ring([segment_id], worker)
            return
        with _claim_errors_logged():
            take_next_work(worker)

    @app.task(name=JOB_TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery ships no types
    def job(job_id: str) -> None:
        with _claim_errors_logged():
            finish_job(str(job_id), worker)


@contextmanager
def _claim_errors_logged() -> Iterator[None]:
    """Log a database that is unavailable during a claim; the sweep rings for the work again."""
    try:
        yield
    except (DatabaseError, StorageFullError) as error:
        _log.warning("nothing claimed, the sweep will ring again: %s", error)
