"""INSERT ... ON CONFLICT for both databases, which SQLAlchemy has in each dialect's own module."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from faces_jobs.db.tables import Base


def upsert(session: Session, table: type[Base]) -> Any:
    """Return an INSERT that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    # Imported on demand: importing PostgreSQL's dialect takes longer than importing all tables.
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite  # noqa: PLC0415

    return sqlite.insert(table)
