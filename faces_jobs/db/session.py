"""Database sessions, with the same behaviour on SQLite (one file) and on PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from faces_jobs.db.engine import (
    BEGIN_OPTION,
    SQLITE_BUSY_TIMEOUT_SECONDS,
    driver_reason,
    is_missing,
    make_engine,
    sqlite_path,
)
from faces_jobs.db.revision import current_revision, newest_revision
from faces_jobs.errors import DatabaseError, StorageFullError

_POSTGRES_READ_ONLY = "25006"  # read_only_sql_transaction
_POSTGRES_DISK_FULL = "53100"
_SQLITE_DAMAGED = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})


class Database:
    """An open database: `begin()` to write, `read()` for a consistent snapshot. Thread-safe."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        self._turn = threading.Lock()
        self._writing = engine.execution_options(**{BEGIN_OPTION: "BEGIN IMMEDIATE"})
        self._reading = (
            engine
            if self.dialect == "sqlite"
            else engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        )

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Open a session in one transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseError: the database does not answer, or stayed locked.
            StorageFullError: the database has no room for the rows.
        """
        with (
            _translated_errors(),
            self._turn_to_write(),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        """Let the threads of this process write to SQLite one after the other.

        It has one writer at a time anyway, but lets the others sleep and try again, longer each
        time: whoever came last would often be first.

        Raises:
            DatabaseError: it took too long.
        """
        if self.dialect != "sqlite":
            yield
            return
        if not self._turn.acquire(timeout=SQLITE_BUSY_TIMEOUT_SECONDS):
            raise DatabaseError(
                "The database stayed locked: other requests of this process are writing to it, or "
                "wait for another process that is. Try again in a moment."
            )
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a read-only session that sees the database as of its first statement.

        Raises:
            DatabaseError: the database does not answer.
        """
        with _translated_errors(), Session(self._reading, expire_on_commit=False) as session:
            yield session

    def check_schema(self) -> None:
        """Check that the database answers and still has the schema of this version.

        Raises:
            DatabaseError: the database does not answer, or has another schema.
        """
        _check_schema(self.engine)

    def check_writable(self) -> None:
        """Check that the database may be written to, without waiting for those who write now.

        Raises:
            DatabaseError: the database does not answer, or is read-only.
        """
        path = sqlite_path(self.engine.url)
        if path is not None:
            if not os.access(path, os.W_OK):
                raise DatabaseError(f"This user may not write to the database {path}.")
            return
        with _translated_errors(), self.engine.connect() as connection:
            if connection.scalar(text("SHOW transaction_read_only")) == "on":
                raise DatabaseError("The database is read-only: it is a standby, or was made so.")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_database(url: str) -> Database:
    """Open the database at `url` and check that it has the schema of this version.

    Raises:
        DatabaseError: the database is missing, does not answer, or its schema is older or newer.
    """
    engine = make_engine(url)
    try:
        _check_schema(engine)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def _check_schema(engine: Engine) -> None:
    path = sqlite_path(engine.url)
    if path is not None and is_missing(path):  # connecting would create an empty file
        raise DatabaseError(f"There is no database yet at {path}: run `faces-jobs db upgrade`.")
    with _translated_errors(), engine.connect() as connection:
        found = current_revision(connection)
    newest = newest_revision()
    if found != newest:
        raise DatabaseError(_schema_mismatch(found, newest))


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Translate a driver's operational errors into our own; programming errors pass unchanged."""
    try:
        yield
    except DBAPIError as error:
        if _is_full(error):
            raise StorageFullError(
                "The database has no space left: free some, then the work continues."
            ) from error
        if _is_unavailable(error):
            raise DatabaseError(
                "The database does not answer, stayed locked, is read-only or is damaged: "
                + driver_reason(error)
            ) from error
        raise
    except PoolTimeoutError as error:
        raise DatabaseError(
            "All connections to the database are in use: try again in a moment."
        ) from error


def _is_unavailable(error: DBAPIError) -> bool:
    # Both drivers raise "can't connect", "locked", "timeout" and "deadlock" as OperationalError.
    bases = {base.__name__ for base in type(error.orig).__mro__}
    damaged = getattr(error.orig, "sqlite_errorcode", None) in _SQLITE_DAMAGED
    # A server that is under maintenance, or became a standby, is read-only for a while.
    read_only = getattr(error.orig, "sqlstate", None) == _POSTGRES_READ_ONLY
    operational = "OperationalError" in bases
    return error.connection_invalidated or damaged or read_only or operational


def _is_full(error: DBAPIError) -> bool:
    original = error.orig
    if isinstance(original, sqlite3.OperationalError):
        return getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(original, "sqlstate", None) == _POSTGRES_DISK_FULL


def _schema_mismatch(found: str | None, newest: str) -> str:
    if found is None:
        return "The database is empty: run `faces-jobs db upgrade`."
    return (
        f"The database has schema {found}, but this version of faces_jobs needs {newest}: "
        "run `faces-jobs db upgrade`, or upgrade faces_jobs if the database is the newer one."
    )
