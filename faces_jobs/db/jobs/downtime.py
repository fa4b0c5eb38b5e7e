"""Downtime, in which no worker was running: it does not count as time of jobs that had begun."""

from __future__ import annotations

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from faces_jobs.counters import FRAMES
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.control import exclude_time_since
from faces_jobs.db.processes import add_counts
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, MeasureRow, ProcessRow
from faces_jobs.jobs.status import JobStatus


def exclude_downtime(database: Database, *, presence_timeout_seconds: float) -> None:
    """Exclude the time since a worker last reported frames, as the time on hold is.

    Called by each worker when it starts. Does nothing if another one is alive that was running
    then: it may be busy with what has no frames.
    """
    name, label = FRAMES
    reported = select(MeasureRow.told_at).where(MeasureRow.name == name, MeasureRow.label == label)
    running = select(JobRow).where(JobRow.status == JobStatus.RUNNING).order_by(JobRow.id)
    with database.begin() as session:
        since = session.scalar(reported.with_for_update())
        if since is None or _has_worker_since(session, since, presence_timeout_seconds):
            return
        for job in session.scalars(running.with_for_update(key_share=True)):
            job.held_seconds += exclude_time_since(session, job, since)
        add_counts(session, {FRAMES: 0.0})  # a worker that starts beside this one excludes no more


def _has_worker_since(session: Session, since: float, presence_timeout_seconds: float) -> bool:
    worker = exists().where(
        ProcessRow.kind == "worker",
        ProcessRow.seen_at >= now_seconds() - presence_timeout_seconds,
        ProcessRow.started_at < since,
    )
    return bool(session.scalar(select(worker)))
