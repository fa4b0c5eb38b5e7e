"""The database's clock as an SQL expression: leases don't depend on the clocks of workers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Double
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class now_seconds(FunctionElement[float]):  # noqa: N801 (named as the SQL function that it is)
    """The database's time, in seconds since 1970 as a float, when the statement is executed."""

    type = Double()
    inherit_cache = True


@compiles(now_seconds, "sqlite")
def _on_sqlite(element: now_seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001 (called by SQLAlchemy)
    # unixepoch('subsec') needs SQLite 3.42; julianday is exact to 0.1 ms in this century.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_seconds, "postgresql")
def _on_postgresql(element: now_seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001 (called by SQLAlchemy)
    # Not now(): that is the transaction's start, and finishing a long video takes seconds. As a
    # scalar subquery it is evaluated once for the statement: a volatile function, which is
    # evaluated for each row, can't be used in an index condition.
    return "(SELECT extract(epoch FROM clock_timestamp())::double precision)"


def as_datetime(seconds: float) -> datetime:
    """Convert a stored time to an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
