"""What users do with a job that is there, from cancel to priority. Each answers with the job.

What becomes free to be worked on is rung for; where the broker is silent, the sweep does it.
"""

from __future__ import annotations

import logging

from sqlalchemy import select

from faces_jobs.db import control, retry
from faces_jobs.db import jobs as job_store
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.errors import QueueError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.spec import Priority
from faces_jobs.jobs.status import JobStatus, SegmentStatus
from faces_jobs.queue import Queue
from faces_jobs.results.jobs import get_job

# Enough to wake every worker there may be; a worker that is done is rung for by the sweep.
MOST_BELLS = 64

_log = logging.getLogger(__name__)


def cancel_job(database: Database, job_id: str) -> JobDocument:
    """Cancel a job; the results of items that finished are kept.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended otherwise.
    """
    with database.begin() as session:
        job_store.cancel_job(session, job_id)
    return get_job(database, job_id)


def pause_job(database: Database, job_id: str) -> JobDocument:
    """Hold a job until it is resumed; pausing twice is the same as once.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    with database.begin() as session:
        control.pause_job(session, job_id)
    return get_job(database, job_id)


def resume_job(database: Database, queue: Queue, job_id: str) -> JobDocument:
    """Let a job go on that was paused, or that waits for space.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    with database.begin() as session:
        control.resume_job(session, job_id)
    _ring(database, queue, job_id)
    return get_job(database, job_id)


def retry_job(database: Database, queue: Queue, job_id: str) -> JobDocument:
    """Work again on what failed of an ended job, or was cancelled; the rest is kept.

    Raises:
        NotFoundError: no such job.
        StateError: it has not ended, or there is nothing to try again.
    """
    with database.begin() as session:
        retry.retry_job(session, job_id)
    _ring(database, queue, job_id)
    return get_job(database, job_id)


def set_priority(database: Database, job_id: str, priority: Priority) -> JobDocument:
    """Change how soon a job is worked on.

    Raises:
        NotFoundError: no such job.
        StateError: it has ended.
    """
    with database.begin() as session:
        control.set_priority(session, job_id, priority)
    return get_job(database, job_id)


def _ring(database: Database, queue: Queue, job_id: str) -> None:
    """Tell workers of what is free now."""
    waiting = (
        select(SegmentRow.id)
        .where(SegmentRow.job_id == job_id, SegmentRow.status == SegmentStatus.QUEUED)
        .order_by(SegmentRow.id)
        .limit(MOST_BELLS)
    )
    with database.read() as session:
        segments = session.scalars(waiting).all()
    try:
        for segment_id in segments:
            queue.ring_segment(segment_id)
        if get_job(database, job_id).status is JobStatus.FINISHING:
            queue.ring_job(job_id)
    except QueueError as error:
        _log.warning("job %s goes on, but its workers were not told: %s", job_id, error)
