"""A clock for the tested processes that can be moved while they run.

Replaces both Python's and SQLite's time within the process: on one machine the database's clock is
the client's. libfaketime is no alternative: with many threads its clock occasionally stops.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from sqlalchemy import Engine, event

DAY_SECONDS = 86400.0
JULIAN_1970 = 2440587.5


def follow(path: Path) -> None:
    """Add the number of seconds in a file to the time of day."""
    seconds, nanoseconds = time.time, time.time_ns

    def ahead() -> int:
        return int(path.read_text(encoding="ascii"))

    def now() -> float:
        return seconds() + ahead()

    def julian_day(_now: str) -> float:
        return now() / DAY_SECONDS + JULIAN_1970

    def move(connection: object, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.create_function("julianday", 1, julian_day)

    time.time = now
    time.time_ns = lambda: nanoseconds() + ahead() * 10**9
    event.listen(Engine, "connect", move)


def set_ahead(path: Path, seconds: int) -> None:
    """Move the clock of the processes that follow this file."""
    new = path.with_suffix(".new")
    new.write_text(str(seconds), encoding="ascii")
    new.rename(path)
