"""Deletes many rows in short transactions.

SQLite has one writer at a time: a single transaction that deletes a million faces would keep all
others waiting for seconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from faces_jobs.db.session import Database

# How long one transaction takes on SQLite if more than the minimum of rows can be deleted in it.
STEP_SECONDS = 0.1
MIN_STEP_ROWS = 1000
MAX_STEP_ROWS = 100_000

Key = tuple[Any, ...]
"""The values of a row's primary key."""


class RowSteps:
    """Deletes rows step by step, each in a transaction of its own, until its patience is over."""

    def __init__(
        self,
        database: Database,
        *,
        patience_seconds: float = math.inf,
        before: Callable[[], None] = lambda: None,
        after: Callable[[Session, int], None] = lambda _session, _rows: None,
    ) -> None:
        """Call `before` before each step, and `after` in it with the number of deleted rows."""
        self._database = database
        self._until = time.monotonic() + patience_seconds
        self._before = before
        self._after = after

    def delete_from(
        self,
        table: Table,
        *which: ColumnElement[bool],
        after: Key | None = None,
        up_to: Key | None = None,
        is_due: Callable[[Session], bool] = lambda _session: True,
    ) -> bool:
        """Delete these rows, to which nobody adds, in the order of their keys.

        Rows between two keys are given by `after` and `up_to`, not as a condition: SQLite would
        read all of them in each step. `is_due` is asked in each step whether they are still to be
        deleted. Returns False if the patience was over before all were.
        """
        is_sqlite = self._database.dialect == "sqlite"
        size = MIN_STEP_ROWS if is_sqlite else MAX_STEP_ROWS  # PostgreSQL keeps nobody waiting
        key = table.primary_key.columns
        following = select(*key).where(*which).order_by(*key).limit(1)
        while time.monotonic() < self._until:
            self._before()
            # Nobody adds rows: the keys can be read before others have to wait.
            with self._database.read() as session:
                rest = following.where(*_span(table, after, up_to)).offset(size - 1)
                last = session.execute(rest).first()
            step = _span(table, after, up_to if last is None else tuple(last))
            started = time.monotonic()
            with self._database.begin() as session:
                if not is_due(session):
                    return True
                deleted: Any = session.execute(delete(table).where(*which, *step))
                self._after(session, int(deleted.rowcount))
            if last is None:
                return True
            if is_sqlite:
                size = _pace(size, time.monotonic() - started)
            after = tuple(last)  # else PostgreSQL passes over all that was deleted
        return False


def _span(table: Table, after: Key | None, up_to: Key | None) -> Iterator[ColumnElement[bool]]:
    key = tuple_(*table.primary_key.columns)
    if after is not None:
        yield key > tuple_(*after)
    if up_to is not None:
        yield key <= tuple_(*up_to)


def _pace(size: int, took: float) -> int:
    """Let other writers go ahead for as long as a step took. Returns the next one's rows."""
    # Who waits for SQLite's lock is not queued, but tries again after pauses: it would hardly ever
    # meet the moment between two steps.
    time.sleep(took)
    enough = int(size * STEP_SECONDS / max(took, STEP_SECONDS / 2))  # twice as many at most
    return min(max(enough, MIN_STEP_ROWS), MAX_STEP_ROWS)
