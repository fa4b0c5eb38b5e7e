"""The tasks that messages name: each carries an id, and may come twice, late or never.

A segment's id says only that there is work: which segment is taken, the rows say.
"""

from __future__ import annotations

from celery import Celery

from faces_jobs.queue import JOB_TASK, SEGMENT_TASK
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.rung import answer_bell


def add_tasks(app: Celery, worker: Worker) -> None:
    """Make the app's tasks work with what this process has opened."""

    @app.task(name=SEGMENT_TASK)  # type: ignore[untyped-decorator]  # Celery ships no types
    def segment(_segment_id: int) -> None:
        answer_bell(worker)

    @app.task(name=JOB_TASK)  # type: ignore[untyped-decorator]  # Celery ships no types
    def job(job_id: str) -> None:
        finish_job(str(job_id), worker)
