"""The tasks that messages name: each carries an id, and may come twice, late or never.

A segment's id says only that there is work: which segment is taken, the rows say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery

from faces_jobs.errors import DatabaseError, StorageFullError
from faces_jobs.queue import JOB_TASK, SEGMENT_TASK
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.ringing import ring

_log = logging.getLogger(__name__)


def add_tasks(app: Celery, worker: Worker) -> None:
    """Make the app's tasks work with what this process has opened."""

    @app.task(name=SEGMENT_TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery ships no types
    def segment(segment_id: int) -> None:
        if worker.stop_requested.is_set():
            # Celery's loop reads one more message after TERM, often that of the segment just
            # handed back: it is for others.
            ring([segment_id], worker)
            return
        with _left_to_the_sweep():
            take_next_work(worker)

    @app.task(name=JOB_TASK, shared=False)  # type: ignore[untyped-decorator]  # Celery ships no types
    def job(job_id: str) -> None:
        with _left_to_the_sweep():
            finish_job(str(job_id), worker)


@contextmanager
def _left_to_the_sweep() -> Iterator[None]:
    """A database that is away while something is claimed: whoever waits is rung for again."""
    try:
        yield
    except (DatabaseError, StorageFullError) as error:
        _log.warning("nothing claimed, the sweep will ring again: %s", error)
