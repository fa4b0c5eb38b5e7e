"""Fair scheduling: which free segment a worker claims next, over all jobs and owners.

A segment that its worker left unfinished comes first, whatever its job: it has had its turn, and
would be done by now.

Jobs are ordered by priority. Among owners whose best jobs have the same priority, the owner with
the fewest busy workers comes first, then the one that was served longest ago, then the one with
the oldest job. So a photograph does not wait behind another owner's film of a thousand segments.

The choice is one statement on both databases. It walks along `ix_jobs_turn`, a partial index on
active jobs, and `ix_segments_held`, one on the segments that workers hold: its cost grows with the
numbers of owners and of workers, not with the queue's length.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.orm import Session, aliased

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.claims.leases import claim_segment_in
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import has_claimable_exports, is_orphaned, is_ready
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow, TurnRow
from faces_jobs.db.upsert import upsert
from faces_jobs.jobs.status import ACTIVE_JOBS, SegmentStatus

# Of several workers that choose the same segment at once, one gets it and the others try again.
MAX_TRIES = 100
RETRY_FOR_SECONDS = 1.0
RETRY_PAUSE_SECONDS = 0.05
CLOCK_SECONDS = 60.0  # of a clock that is adjusted, not set back

SegmentCondition = Callable[[Any], ColumnElement[bool]]
"""Makes a condition on a segment from an alias of `SegmentRow`."""


def claim_next(
    database: Database, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Claim the segment whose turn it is. Returns None if no segment is free.

    On PostgreSQL a free row may be locked for a moment, usually by the process that rang for it and
    records that. If no other segment is free, it is tried again for up to `RETRY_FOR_SECONDS`:
    otherwise the message would be used up, and the segment would wait for the next one.
    """
    deadline: float | None = None  # counts from the first row that is locked
    tried: list[int] = []
    for _ in range(MAX_TRIES):
        with database.begin() as session:
            statement = next_segment_statement(max_attempts, exclude_tried=bool(tried))
            segment_id = session.scalar(statement, {"tried": tried} if tried else {})
            if segment_id is not None:
                claim = claim_segment_in(
                    session,
                    segment_id,
                    worker=worker,
                    lease_seconds=lease_seconds,
                    max_attempts=max_attempts,
                )
                if claim is not None:
                    _record_turn(session, claim.job_id)
                    return claim
        if segment_id is not None:
            tried.append(segment_id)
            deadline = deadline or time.monotonic() + RETRY_FOR_SECONDS
        elif tried and deadline and time.monotonic() < deadline:
            tried.clear()
            time.sleep(RETRY_PAUSE_SECONDS)
        else:
            return None
    return None


def next_job_to_finish(database: Database, *, max_attempts: int) -> str | None:
    """Return a job whose exports are to be written and that no worker holds."""
    statement = (
        select(JobRow.id)
        .where(has_claimable_exports(max_attempts))
        .order_by(JobRow.priority, JobRow.created_at)
        .limit(1)
    )
    with database.read() as session:
        return session.scalar(statement)


def delete_old_turns(database: Database, *, older_than_seconds: float) -> None:
    """Delete the turns of owners that were not served for long; they are then treated as new.

    Also turns in the future: the clock was set back, and these owners would always come last.
    """
    now = now_seconds()
    with database.begin() as session:
        session.execute(
            delete(TurnRow).where(
                or_(
                    TurnRow.served_at < now - older_than_seconds,
                    TurnRow.served_at > now + CLOCK_SECONDS,
                )
            )
        )


@lru_cache
def next_segment_statement(max_attempts: int, *, exclude_tried: bool = False) -> Select[Any]:
    """Select the id of the segment whose turn it is; NULL or no row if none is free.

    With `exclude_tried`, segments in the parameter `tried` are skipped. The statement is cached,
    since building it takes longer than executing it.
    """
    is_waiting = partial(_is_waiting, max_attempts=max_attempts, exclude_tried=exclude_tried)
    job_id = _next_job(is_waiting)
    waiting, lost = aliased(SegmentRow), aliased(SegmentRow)
    return select(
        func.coalesce(
            select(lost.id)
            .where(_is_lost(lost, max_attempts=max_attempts, exclude_tried=exclude_tried))
            .order_by(lost.lease_until, lost.id)
            .limit(1)
            .scalar_subquery(),
            select(waiting.id)
            .where(waiting.job_id == job_id, is_waiting(waiting))
            .order_by(waiting.id)
            .limit(1)
            .scalar_subquery(),
        )
    )


def _next_job(is_waiting: SegmentCondition) -> ScalarSelect[str]:
    """The job whose turn it is: the best of the best jobs of all owners."""
    owners = _owners_with_active_jobs()
    first_job = _best_job_of(owners, is_waiting)
    best = select(owners.c.owner, first_job.label("job_id")).cte("best")
    best_job = aliased(JobRow)
    busy = _workers_by_owner()
    # A scalar subquery, since SQLite would sort all waiting segments for a join. With outer joins,
    # since SQLite might otherwise search all jobs for the few best ones.
    return (
        select(best.c.job_id)
        .select_from(best)
        .outerjoin(best_job, best_job.id == best.c.job_id)
        .outerjoin(busy, busy.c.owner == best.c.owner)
        .outerjoin(TurnRow, TurnRow.owner == best.c.owner)
        .where(best.c.job_id.is_not(None))
        .order_by(
            best_job.priority,
            func.coalesce(busy.c.workers, 0),
            func.coalesce(TurnRow.served_at, 0.0),
            best_job.created_at,
            best_job.id,
        )
        .limit(1)
        .scalar_subquery()
    )


def _best_job_of(owners: CTE, is_waiting: SegmentCondition) -> ScalarSelect[str]:
    """The first job of an owner, by priority and age, that has a waiting segment."""
    job, waiting = aliased(JobRow), aliased(SegmentRow)
    return (
        select(job.id)
        .where(
            _is_active(job),
            job.owner == owners.c.owner,
            exists().where(waiting.job_id == job.id, is_waiting(waiting)),
        )
        .order_by(job.priority, job.created_at, job.id)
        .limit(1)
        .correlate(owners)
        .scalar_subquery()
    )


def _owners_with_active_jobs() -> CTE:
    """Every owner that has active jobs, found by a skip scan along the index."""
    first, following = aliased(JobRow), aliased(JobRow)
    owners = select(func.min(first.owner).label("owner")).where(_is_active(first))
    found = owners.cte("owners", recursive=True)
    later = (
        select(func.min(following.owner))
        .where(_is_active(following), following.owner > found.c.owner)
        .correlate(found)
        .scalar_subquery()
    )
    return found.union_all(select(later).where(found.c.owner.is_not(None)))


def _workers_by_owner() -> Any:
    """The number of workers busy with each owner's jobs. A bundle's segments share one token."""
    return (
        select(JobRow.owner, func.count(SegmentRow.lease_token.distinct()).label("workers"))
        .join(SegmentRow, SegmentRow.job_id == JobRow.id)
        .where(SegmentRow.status == SegmentStatus.RUNNING, SegmentRow.lease_until >= now_seconds())
        .group_by(JobRow.owner)
        .subquery("busy")
    )


def _is_active(job: Any) -> ColumnElement[bool]:
    # As literals: a partial index is only used if the condition's text matches its own.
    states: BindParameter[Any] = bindparam(None, ACTIVE_JOBS, expanding=True, literal_execute=True)
    return job.status.in_(states)  # type: ignore[no-any-return]  # `aliased` loses the type


def _is_waiting(segment: Any, *, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    return and_(
        segment.status == SegmentStatus.QUEUED, _is_claimable(segment, max_attempts, exclude_tried)
    )


def _is_lost(segment: Any, *, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    job = aliased(JobRow)
    return and_(
        is_orphaned(segment),
        _is_claimable(segment, max_attempts, exclude_tried),
        exists().where(job.id == segment.job_id, _is_active(job)),
    )


def _is_claimable(segment: Any, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    claimable = and_(segment.attempts < max_attempts, is_ready(segment))
    if exclude_tried:
        return and_(claimable, segment.id.not_in(bindparam("tried", expanding=True)))
    return claimable


def _record_turn(session: Session, job_id: str) -> None:
    now = now_seconds()
    turn = select(JobRow.owner, now).where(JobRow.id == job_id)
    session.execute(
        upsert(session, TurnRow)
        .from_select(["owner", "served_at"], turn)
        .on_conflict_do_update(index_elements=["owner"], set_={"served_at": now})
    )
