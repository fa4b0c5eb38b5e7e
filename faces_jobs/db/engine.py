"""SQLAlchemy engines for SQLite and PostgreSQL, with the settings of every connection."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from faces_jobs.errors import DatabaseError, SettingsError

# How long a writer waits for another's transaction. Storing a long video's rows takes seconds, and
# SQLite allows one writer at a time, so the timeout is generous.
SQLITE_BUSY_TIMEOUT_SECONDS = 60
POSTGRES_CONNECT_TIMEOUT_SECONDS = 5
# A process that freezes or loses its network within a transaction keeps rows locked that another
# worker needs for taking over: the server ends such a transaction before the lease expires. None
# of our code pauses within a transaction.
POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 20
POSTGRES_OPTIONS = (
    "-c lock_timeout=30s -c statement_timeout=120s "
    f"-c idle_in_transaction_session_timeout={POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s "
    # Compiling a statement that looks expensive to the planner takes longer than it saves.
    "-c jit=off"
)
# A machine that disappears does not close its connections: with the operating system's defaults a
# client, and so a heartbeat, would wait hours for its reply.
POSTGRES_KEEPALIVES: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,  # milliseconds that sent data may stay unacknowledged
}
BEGIN_OPTION = "faces_jobs_begin"


def make_engine(url: str) -> Engine:
    """Create an engine for `url`. It neither connects nor checks the schema.

    Raises:
        SettingsError: the URL can't be parsed, or its database is not supported.
        DatabaseError: the driver is not installed.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is not a number
        raise SettingsError(
            "FACES_JOBS_DATABASE_URL is not a valid URL: write sqlite:///path or "
            "postgresql+psycopg://user:password@host:5432/name."
        ) from error
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql_engine(parsed)
    raise SettingsError(
        f"FACES_JOBS_DATABASE_URL: {parsed.get_backend_name()} is not supported: use SQLite or "
        "PostgreSQL (psycopg)."
    )


def sqlite_path(url: URL) -> Path | None:
    """Return the file of an SQLite database; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)


def is_missing(path: Path) -> bool:
    """Whether there is certainly no such file or folder.

    One that this user may not look at counts as there: opening it says what is wrong.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def driver_reason(error: DBAPIError) -> str:
    """Return the first line of what the driver says, as a sentence."""
    lines = str(error.orig or "").strip().splitlines() or [str(error)]
    return f"{lines[0].rstrip('.')}."


def _sqlite_engine(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise SettingsError(
            "An in-memory SQLite database can't be shared by web and worker: name a file, "
            "sqlite:///path/to/faces_jobs.db."
        )
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 must not begin transactions by itself: it would begin them as read transactions,
        # and upgrading one to a write fails at once if another connection wrote in between.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # SQLite's own knows ASCII only: a search that ignores case would miss `Übung`.
        connection.create_function("lower", 1, _lower, deterministic=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(BEGIN_OPTION, "BEGIN"))

    return engine


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _postgresql_engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": POSTGRES_CONNECT_TIMEOUT_SECONDS,
        "options": POSTGRES_OPTIONS,
        "application_name": "faces_jobs",
        # A server that was set up without a locale (SQL_ASCII) implies no encoding.
        "client_encoding": "utf8",
        **POSTGRES_KEEPALIVES,
    }
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={
                name: value for name, value in arguments.items() if name not in url.query
            },
        )
    except (ImportError, NoSuchModuleError) as error:
        raise DatabaseError(
            "The PostgreSQL driver is not installed: pip install '.[postgres]' in the checkout, or "
            'pip install "dist/faces_jobs-...whl[postgres]" with the wheel that `make wheel` makes.'
        ) from error
