"""Engines for the two databases, with what each needs on every connection."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from faces_jobs.errors import DatabaseError, SettingsError

# A writer waits this long for another's transaction. Storing a long video's rows takes seconds,
# on SQLite nobody else writes meanwhile, so the patience is generous.
SQLITE_BUSY_TIMEOUT_SECONDS = 60
POSTGRES_CONNECT_TIMEOUT_SECONDS = 5
# Whoever is frozen, or cut off, within a transaction keeps rows locked that a rescue needs: the
# server ends such a transaction before the lease is over. No code of ours pauses within one.
POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = 20
POSTGRES_OPTIONS = (
    "-c lock_timeout=30s -c statement_timeout=120s "
    f"-c idle_in_transaction_session_timeout={POSTGRES_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s "
    # A statement that it thinks large it would compile first, which takes longer than asking.
    "-c jit=off"
)
# A server whose machine vanished sends no farewell: by its own defaults the system would wait for
# its answers for hours, and so would a heartbeat.
POSTGRES_KEEPALIVES: dict[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,  # milliseconds that what was sent may stay unheard
}
BEGIN_OPTION = "faces_jobs_begin"


def make_engine(url: str) -> Engine:
    """An engine for `url`, without a connection yet and without a look at the schema.

    Raises:
        SettingsError: the URL is none, or of a database that is not supported.
        DatabaseError: the driver is not installed.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        raise SettingsError(
            "FACES_JOBS_DATABASE_URL can't be read: write sqlite:///path or "
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
    """The file of an SQLite database; None for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database)


def _sqlite_engine(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise SettingsError(
            "An SQLite database in memory can't be shared by web and worker: name a file, "
            "sqlite:///path/to/faces_jobs.db."
        )
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _record: object) -> None:
        # sqlite3 must not begin transactions on its own: it would begin them as readers, and a
        # reader that turns writer fails at once where another wrote in between.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(BEGIN_OPTION, "BEGIN"))

    return engine


def _postgresql_engine(url: URL) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": POSTGRES_CONNECT_TIMEOUT_SECONDS,
        "options": POSTGRES_OPTIONS,
        "application_name": "faces_jobs",
        # A server that was set up without a locale tells no encoding of its own.
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
            "PostgreSQL needs its driver: pip install '.[postgres]' in the checkout, or pip "
            'install "dist/faces_jobs-...whl[postgres]" with the wheel that `make wheel` makes.'
        ) from error
