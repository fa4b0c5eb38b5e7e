"""Delays between attempts at webhooks and deletions: doubled each time, from 10 s to an hour."""

from __future__ import annotations

from sqlalchemy import ColumnElement, SQLColumnExpression, case

FIRST_DELAY_SECONDS = 10.0
MAX_DELAY_SECONDS = 3600.0


def retry_delay_seconds(attempt: int) -> float:
    """Return the delay after a failed attempt, counted from 1."""
    return float(min(FIRST_DELAY_SECONDS * 2.0 ** min(attempt - 1, 30), MAX_DELAY_SECONDS))


def retry_delay_after(attempts_before: SQLColumnExpression[int]) -> ColumnElement[float]:
    """Return the same delay as an SQL expression of the number of earlier attempts (from 0)."""
    delays = {0: FIRST_DELAY_SECONDS}
    while delays[len(delays) - 1] < MAX_DELAY_SECONDS:
        delays[len(delays)] = retry_delay_seconds(len(delays) + 1)
    return case(delays, value=attempts_before, else_=MAX_DELAY_SECONDS)
