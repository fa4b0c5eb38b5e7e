"""The database's clock as one SQL construct, so that machines can't disagree about a lease."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now_seconds(FunctionElement[float]):  # noqa: N801 (named as the SQL function that it is)
    """Seconds since 1970 by the database's own clock, as a float, at the statement's time."""

    type = Double()
    inherit_cache = True


@compiles(now_seconds, "sqlite")
def _on_sqlite(element: now_seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001 (called by SQLAlchemy)
    # unixepoch('subsec') needs SQLite 3.42; julianday is exact to 0.1 ms in this century.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_seconds, "postgresql")
def _on_postgresql(element: now_seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001 (called by SQLAlchemy)
    # Not now(): that is the transaction's start, and finishing a long video takes seconds. A
    # SELECT, so that a statement looks at the clock once: a clock that is asked anew for each row
    # can't be looked up in an index.
    return "(SELECT extract(epoch FROM clock_timestamp())::double precision)"


def as_datetime(seconds: float) -> datetime:
    """A stored time of day as documents show it."""
    return datetime.fromtimestamp(seconds, UTC)
