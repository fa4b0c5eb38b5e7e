"""Gives up poison: work whose last attempt ended without a result, since it kills its workers."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import and_, literal, or_, select

from faces_jobs.db.claims.evidence import record_evidence
from faces_jobs.db.conditions import has_active_job, is_orphaned, is_waiting_for_exports
from faces_jobs.db.jobs.endings import end_job
from faces_jobs.db.segments.endings import end_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, JobRow, SegmentRow
from faces_jobs.errors import PoisonError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus

IsDead = Callable[[str, float], bool]
"""Decides, by token and end of a lease that has expired, whether its worker is dead."""


def fail_poisoned_segments(
    database: Database, *, max_attempts: int, limit: int, is_dead: IsDead
) -> tuple[int, list[str]]:
    """Fail segments that used up their attempts without a result (poison messages).

    Such a file crashes its worker: if it were retried forever, it would crash all workers. Its item
    fails, the job's other items continue. Returns the number of failed segments, and the jobs that
    are now to be finished.
    """
    orphaned = and_(is_orphaned(), SegmentRow.attempts >= max_attempts)
    # Also waiting ones, since the limit may have been lowered after they were released.
    waiting = and_(
        # As literals: a partial index is only used if the condition's text matches its own.
        SegmentRow.status
        == literal(SegmentStatus.QUEUED, SegmentRow.status.type, literal_execute=True),
        SegmentRow.attempts > literal(0, literal_execute=True),
        SegmentRow.attempts >= max_attempts,
        has_active_job(),
    )
    with database.read() as session:
        found = [
            segment_id
            for poisoned in (orphaned, waiting)
            for segment_id in session.scalars(select(SegmentRow.id).where(poisoned).limit(limit))
        ]
    failed, to_finish = 0, []
    for segment_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(SegmentRow)
                .where(SegmentRow.id == segment_id, or_(orphaned, waiting))
                .with_for_update(key_share=True, skip_locked=True)
            )
            if row is None:  # another sweep was faster, or its worker is writing results after all
                continue
            if not _is_given_up(row, is_dead):
                continue
            failed += 1
            record_evidence(session, row)
            if end_segment(session, segment_id=segment_id, error=_poison_error(row)):
                to_finish.append(row.job_id)
    return failed, to_finish


def fail_poisoned_jobs(
    database: Database, *, max_attempts: int, limit: int, is_dead: IsDead
) -> int:
    """Fail the exports of jobs that used up their attempts; the jobs' other results are kept."""
    poisoned = and_(is_waiting_for_exports(), JobRow.attempts >= max_attempts)
    with database.read() as session:
        found = list(session.scalars(select(JobRow.id).where(poisoned).limit(limit)))
    failed = 0
    for job_id in found:
        with database.begin() as session:
            row = session.scalar(
                select(JobRow)
                .where(JobRow.id == job_id, poisoned)
                .with_for_update(key_share=True, skip_locked=True)
            )
            if row is None or not _is_given_up(row, is_dead):
                continue
            succeeded = session.scalar(
                select(ItemRow.id)
                .where(ItemRow.job_id == job_id, ItemRow.status == ItemStatus.SUCCEEDED)
                .limit(1)
            )
            record_evidence(session, row)
            status = JobStatus.FAILED if succeeded is None else JobStatus.SUCCEEDED_WITH_ERRORS
            end_job(session, job_id, status, error=_poison_error(row))
            failed += 1
    return failed


def _is_given_up(row: SegmentRow | JobRow, is_dead: IsDead) -> bool:
    """Whether nobody works any more on a row that is in its last attempt.

    Asked while the row is locked: as long as nobody can write, no worker can renew its lease.
    """
    if row.lease_token is None or row.lease_until is None:  # released
        return True
    if row.last_error is not None:  # during an attempt: its worker's end was reported
        return True
    return is_dead(row.lease_token, row.lease_until)


def _poison_error(row: SegmentRow | JobRow) -> ErrorDocument:
    reason = row.last_error or "its worker disappeared without reporting an error."
    return ErrorDocument(
        code=PoisonError.code,
        message=f"Given up after {row.attempts} attempts that ended without a result. "
        f"The last one, on worker {row.worker}: {reason}",
    )
