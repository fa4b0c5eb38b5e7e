"""How much may wait: counted over the jobs that have not ended, of one owner and of all.

A job counts as a whole until it ends. The sums are read along `ix_jobs_waiting` alone.
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

# Any number, as long as all versions of faces_jobs use the same: two submissions that count wait
# in line, or each would not see the other.
POSTGRES_LOCK_KEY = 4_019_202_462


@dataclass(frozen=True, slots=True)
class Load:
    """Work that waits or runs, or that is to be added to it."""

    jobs: int = 0
    items: int = 0
    bytes: int = 0


def check_queue(database: Database, settings: Settings, owner: str) -> None:
    """See whether anything at all may be added; asked before a body is read.

    Raises:
        QueueFullError: nothing may, for now.
    """
    with database.read() as session:
        _check(session, settings, owner, Load(jobs=1, items=1))


def check_added(session: Session, settings: Settings, owner: str, added: Load) -> None:
    """See within a submission's transaction whether so much may be added.

    Raises:
        QueueFullError: it may not, for now.
    """
    if session.get_bind().dialect.name == "postgresql" and _limits(settings):
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": POSTGRES_LOCK_KEY})
    _check(session, settings, owner, added)


def _check(session: Session, settings: Settings, owner: str, added: Load) -> None:
    for whose, limits in _limits(settings).items():
        now = _load(session, owner if whose == "owner" else None)
        for what, most in limits.items():
            waiting = getattr(now, what)
            if waiting + getattr(added, what) > most:
                raise QueueFullError(
                    f"{'Of this owner' if whose == 'owner' else 'On this server'} {waiting} "
                    f"{what} wait or run, and {most} is the most: send it again later."
                )


def _limits(settings: Settings) -> dict[str, dict[str, int]]:
    """The limits that are set, of all and of one owner."""
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
    kept = {
        whose: {what: most for what, most in limits.items() if most}
        for whose, limits in every.items()
    }
    return {whose: limits for whose, limits in kept.items() if limits}


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
