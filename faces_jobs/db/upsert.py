"""INSERT ... ON CONFLICT: the same on both databases, and of each one's dialect in SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from faces_jobs.db.tables import Base


def upsert(session: Session, table: type[Base]) -> Any:
    """An INSERT that takes `on_conflict_do_nothing` and `on_conflict_do_update`."""
    # A dialect is read when it is spoken: PostgreSQL's takes longer than all tables.
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)
