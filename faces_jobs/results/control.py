"""Actions on an existing job, from cancel to priority; each returns the job.

Segments that become available are rung for; if the broker can't be reached, the sweep does it.
"""

from __future__ import annotations

import logging

from sqlalchemy import select

from faces_jobs.db.jobs import changes as job_store
from faces_jobs.db.jobs import control, retry
from faces_jobs.db.jobs.discarding import REQUEST_PATIENCE_SECONDS, delete_discarded
from faces_jobs.db.session import Database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.errors import QueueError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.jobs.spec import Priority
from faces_jobs.jobs.status import JobStatus, SegmentStatus
from faces_jobs.queue.producer import Queue
from faces_jobs.results.jobs import get_job

# Enough to wake every worker; the sweep rings for what is left.
MAX_RINGS = 64

_log = logging.getLogger(__name__)


def cancel_job(database: Database, job_id: str) -> JobDocument:
    """Cancel a job; the results of finished items are kept.

    Those of the others are hidden at once. If there are very many, the sweep deletes the rest.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended in another state.
    """
    with database.begin() as session:
        job_store.cancel_job(session, job_id)
    _delete_discarded(database, job_id)
    return get_job(database, job_id)


def pause_job(database: Database, job_id: str) -> JobDocument:
    """Pause a job until it is resumed. Idempotent.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    with database.begin() as session:
        control.pause_job(session, job_id)
    return get_job(database, job_id)


def resume_job(database: Database, queue: Queue, job_id: str) -> JobDocument:
    """Resume a job that was paused or is waiting for space.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    with database.begin() as session:
        control.resume_job(session, job_id)
    _ring(database, queue, job_id)
    return get_job(database, job_id)


def retry_job(database: Database, queue: Queue, job_id: str) -> JobDocument:
    """Process the failed and cancelled items of an ended job again; the others are kept.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has not ended, has nothing to retry, or too many discarded results are
            still being deleted.
    """
    _delete_discarded(database, job_id)
    with database.begin() as session:
        retry.retry_job(session, job_id)
    _ring(database, queue, job_id)
    return get_job(database, job_id)


def set_priority(database: Database, job_id: str, priority: Priority) -> JobDocument:
    """Change a job's priority.

    Raises:
        NotFoundError: there is no such job.
        StateError: the job has ended.
    """
    with database.begin() as session:
        control.set_priority(session, job_id, priority)
    return get_job(database, job_id)


def _delete_discarded(database: Database, job_id: str) -> None:
    delete_discarded(database, job_id=job_id, patience_seconds=REQUEST_PATIENCE_SECONDS)


def _ring(database: Database, queue: Queue, job_id: str) -> None:
    """Send messages for the job's queued segments, or for its exports."""
    queued = (
        select(SegmentRow.id)
        .where(SegmentRow.job_id == job_id, SegmentRow.status == SegmentStatus.QUEUED)
        .order_by(SegmentRow.id)
        .limit(MAX_RINGS)
    )
    with database.read() as session:
        segments = session.scalars(queued).all()
    try:
        for segment_id in segments:
            queue.ring_segment(segment_id)
        if get_job(database, job_id).status is JobStatus.FINISHING:
            queue.ring_job(job_id)
    except QueueError as error:
        _log.warning(
            "no message could be sent to workers for job %s; the sweep will send it: %s",
            job_id,
            error,
        )
