"""Whose turn it is: which segment a worker takes that is free, over all jobs and owners.

First by priority. Among owners whose best work has the same, who has the fewest segments being
worked on; then who was served longest ago; then the oldest job. So a film of a thousand segments
and a photograph of somebody else take turns, and the photograph is next.

The statement is one statement on both databases. It walks along `ix_jobs_turn`, which holds the
open jobs alone, and so costs a look for each owner that has any, however long the queue is.
"""

from __future__ import annotations

import time
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
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

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.conditions import is_orphaned, is_ready, is_waiting_for_exports
from faces_jobs.db.leases import claim_segment_in
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow, TurnRow
from faces_jobs.db.upsert import upsert
from faces_jobs.jobs.status import ACTIVE_JOBS, SegmentStatus

# Of workers that want the same segment at once, one gets it and the others ask again.
MAX_TRIES = 100
RETRY_FOR_SECONDS = 1.0
RETRY_PAUSE_SECONDS = 0.05


def claim_next(
    database: Database, *, worker: str, lease_seconds: float, max_attempts: int
) -> SegmentClaim | None:
    """Take the segment whose turn it is. None: no segment is free.

    Of PostgreSQL's rows one may be locked, most often for a moment by who rang for it and writes
    that down: as long as no other is free it is asked for again, up to a second. Else the bell
    would be spent, and the segment would wait until the next.
    """
    ends_at = time.monotonic() + RETRY_FOR_SECONDS
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
        elif tried and time.monotonic() < ends_at:
            tried.clear()
            time.sleep(RETRY_PAUSE_SECONDS)
        else:
            return None
    return None


def next_job_to_finish(database: Database, *, max_attempts: int) -> str | None:
    """A job whose exports are to be written, and that nobody is at."""
    statement = (
        select(JobRow.id)
        .where(
            is_waiting_for_exports(),
            JobRow.attempts < max_attempts,
            is_ready(JobRow),
        )
        .order_by(JobRow.priority, JobRow.created_at)
        .limit(1)
    )
    with database.read() as session:
        return session.scalar(statement)


def delete_old_turns(database: Database, *, older_than_seconds: float) -> None:
    """Forget owners that were not served for long: they begin as new ones do."""
    with database.begin() as session:
        session.execute(
            delete(TurnRow).where(TurnRow.served_at < now_seconds() - older_than_seconds)
        )


@lru_cache
def next_segment_statement(max_attempts: int, *, exclude_tried: bool = False) -> Select[Any]:
    """The number of the segment whose turn it is; no row, or none, where nothing is free.

    With `exclude_tried` those of the parameter `tried` are passed over. Putting the statement together
    takes longer than asking it, so it is kept.
    """
    waits = partial(_is_waiting, max_attempts=max_attempts, exclude_tried=exclude_tried)
    orphaned = partial(_is_lost, max_attempts=max_attempts, exclude_tried=exclude_tried)
    owners = _owners_with_open_jobs()
    mine, best_job = aliased(JobRow), aliased(JobRow)
    waiting_of_mine, lost_of_mine = aliased(SegmentRow), aliased(SegmentRow)
    first = (
        select(mine.id)
        .where(
            _is_open(mine),
            mine.owner == owners.c.owner,
            # Two statements, not one with an "or": each is one step along an index, however many
            # segments the job has.
            or_(
                exists().where(waiting_of_mine.job_id == mine.id, waits(waiting_of_mine)),
                exists().where(lost_of_mine.job_id == mine.id, orphaned(lost_of_mine)),
            ),
        )
        .order_by(mine.priority, mine.created_at, mine.id)
        .limit(1)
        .correlate(owners)
        .scalar_subquery()
    )
    best = select(owners.c.owner, first.label("job_id")).cte("best")
    busy = _workers_by_owner()
    # A value, not a table to join: SQLite would sort all that wait. Joined from outside, or it
    # might look for the few that are best in all jobs there ever were.
    top = (
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
    waiting, lost = aliased(SegmentRow), aliased(SegmentRow)
    return select(
        func.coalesce(
            select(func.min(lost.id)).where(lost.job_id == top, orphaned(lost)).scalar_subquery(),
            select(waiting.id)
            .where(waiting.job_id == top, waits(waiting))
            .order_by(waiting.id)
            .limit(1)
            .scalar_subquery(),
        )
    )


def _owners_with_open_jobs() -> Any:
    """Every owner that has open jobs, from one to the next along the index."""
    first, following = aliased(JobRow), aliased(JobRow)
    owners = select(func.min(first.owner).label("owner")).where(_is_open(first))
    found = owners.cte("owners", recursive=True)
    later = (
        select(func.min(following.owner))
        .where(_is_open(following), following.owner > found.c.owner)
        .correlate(found)
        .scalar_subquery()
    )
    return found.union_all(select(later).where(found.c.owner.is_not(None)))


def _workers_by_owner() -> Any:
    """How many workers are at each owner's work: the segments of a bundle share their token."""
    return (
        select(JobRow.owner, func.count(SegmentRow.lease_token.distinct()).label("workers"))
        .join(SegmentRow, SegmentRow.job_id == JobRow.id)
        .where(SegmentRow.status == SegmentStatus.RUNNING, SegmentRow.lease_until >= now_seconds())
        .group_by(JobRow.owner)
        .subquery("busy")
    )


def _is_open(job: Any) -> ColumnElement[bool]:
    # As literals: a partial index serves only a condition that reads as its own does.
    states: BindParameter[Any] = bindparam(None, ACTIVE_JOBS, expanding=True, literal_execute=True)
    return job.status.in_(states)  # type: ignore[no-any-return]  # `aliased` tells no types


def _is_waiting(segment: Any, *, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    return and_(
        segment.status == SegmentStatus.QUEUED, _is_claimable(segment, max_attempts, exclude_tried)
    )


def _is_lost(segment: Any, *, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    return and_(
        is_orphaned(segment),
        _is_claimable(segment, max_attempts, exclude_tried),
    )


def _is_claimable(segment: Any, max_attempts: int, exclude_tried: bool) -> ColumnElement[bool]:
    free = and_(segment.attempts < max_attempts, is_ready(segment))
    return (
        and_(free, segment.id.not_in(bindparam("tried", expanding=True))) if exclude_tried else free
    )


def _record_turn(session: Session, job_id: str) -> None:
    now = now_seconds()
    turn = select(JobRow.owner, now).where(JobRow.id == job_id)
    session.execute(
        upsert(session, TurnRow)
        .from_select(["owner", "served_at"], turn)
        .on_conflict_do_update(index_elements=["owner"], set_={"served_at": now})
    )
