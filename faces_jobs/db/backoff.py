"""Exponential backoff between attempts: the pause doubles each time, up to an hour."""

from __future__ import annotations

from sqlalchemy import ColumnElement, SQLColumnExpression, case

FIRST_PAUSE_SECONDS = 10.0
MAX_PAUSE_SECONDS = 3600.0


def backoff_seconds(attempt: int) -> float:
    """Return the pause after a failed attempt, counted from 1."""
    return float(min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempt - 1, 30), MAX_PAUSE_SECONDS))


def backoff_after(attempts_before: SQLColumnExpression[int]) -> ColumnElement[float]:
    """Return the same pause as an SQL expression, by the column of earlier attempts (from 0)."""
    pauses = {0: FIRST_PAUSE_SECONDS}
    while pauses[len(pauses) - 1] < MAX_PAUSE_SECONDS:
        pauses[len(pauses)] = backoff_seconds(len(pauses) + 1)
    return case(pauses, value=attempts_before, else_=MAX_PAUSE_SECONDS)
