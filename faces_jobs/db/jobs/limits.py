"""Limits of the queue: how many jobs, items and bytes may be open, per owner and in total.

A job counts in full until it ends. The sums need only the index `ix_jobs_waiting`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.errors import QueueFullError
from faces_jobs.jobs.status import OPEN_JOBS
from faces_jobs.settings import Settings

# An arbitrary key that all versions of faces_jobs share. It serialises submissions that check the
# limits: otherwise two concurrent ones would not see each other's rows.
POSTGRES_LOCK_KEY = 4_019_202_462


@dataclass(frozen=True, slots=True)
class Load:
    """An amount of work: what is open, or what is to be added."""

    jobs: int = 0
    items: int = 0
    bytes: int = 0


def check_queue(database: Database, settings: Settings, owner: str) -> None:
    """Check that at least a job with one item may be added; called before a body is read.

    Raises:
        QueueFullError: the queue is full.
    """
    with database.read() as session:
        _check(session, settings, owner, Load(jobs=1, items=1))


def check_added(session: Session, settings: Settings, owner: str, added: Load) -> None:
    """Check within a submission's transaction that its job may be added.

    Raises:
        QueueFullError: it would exceed a limit.
    """
    if session.get_bind().dialect.name == "postgresql" and _limits(settings):
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": POSTGRES_LOCK_KEY})
    _check(session, settings, owner, added)


def _check(session: Session, settings: Settings, owner: str, added: Load) -> None:
    for scope, limits in _limits(settings).items():
        now = _load(session, owner if scope == "owner" else None)
        for unit, limit in limits.items():
            waiting = getattr(now, unit)
            if waiting + getattr(added, unit) > limit:
                raise QueueFullError(
                    f"The queue is full: the {unit} that wait or run, of "
                    f"{'this owner' if scope == 'owner' else 'all owners'}, are {waiting}, and the "
                    f"limit is {limit}: send it again later."
                )


def _limits(settings: Settings) -> dict[str, dict[str, int]]:
    """Return the limits that are set, by scope ("all" or "owner") and unit."""
    every = {
        "all": {
            "jobs": settings.max_queued_jobs,
            "items": settings.max_queued_items,
            "bytes": settings.max_queued_bytes,
        },
        "owner": {
            "jobs": settings.max_owner_jobs,
            "items": settings.max_owner_items,
            "bytes": settings.max_owner_bytes,
        },
    }
    in_force = {
        scope: {unit: limit for unit, limit in limits.items() if limit}
        for scope, limits in every.items()
    }
    return {scope: limits for scope, limits in in_force.items() if limits}


def _load(session: Session, owner: str | None) -> Load:
    statement = select(
        func.count(),
        func.coalesce(func.sum(JobRow.item_count), 0),
        func.coalesce(func.sum(JobRow.bytes), 0),
    ).where(JobRow.status.in_(OPEN_JOBS))
    if owner is not None:
        statement = statement.where(JobRow.owner == owner)
    jobs, items, size = session.execute(statement).one()
    return Load(jobs=int(jobs), items=int(items), bytes=int(size))
