"""Databases on a PostgreSQL server: copies of a template, which tests use one after the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from faces_jobs.db.tables import Base

# A database with more rows is dropped: deleting them would leave its files large.
MAX_ROWS = 1000
_CLOSED_WITHIN_SECONDS = 2.0  # the server notices a moment later that a connection was closed

# What no test changes but by changing the schema, a setting or the planner's statistics.
_STATE = """
    SELECT (SELECT count(*) FROM pg_class), (SELECT max(oid)::bigint FROM pg_class),
        (SELECT count(*) FROM pg_attribute), (SELECT count(*) FROM pg_statistic),
        (SELECT max(version_num) FROM alembic_version),
        (SELECT count(*) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
            WHERE d.datname = current_database())
"""
_OTHER_CONNECTIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class EmptyDatabases:
    """Databases with the newest schema and without rows, lent to one test after the other.

    To create and drop one takes a server thirty times as long as to delete what a test has left.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._free: list[tuple[str, Any]] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Lend a database; yields its URL."""
        url, state = self._free.pop() if self._free else self._new()
        yield url
        if _emptied(url, state):
            self._free.append((url, state))
        else:
            drop_database(url)

    def drop_all(self) -> None:
        """Drop those that are not lent."""
        while self._free:
            drop_database(self._free.pop()[0])

    def _new(self) -> tuple[str, Any]:
        url = copy_database(self._server_url, self._template)
        with _connected(url) as connection:
            return url, connection.execute(_STATE.encode()).fetchone()


def copy_database(server_url: str, template: str) -> str:
    """Copy the database `template`, and return the copy's URL."""
    name = f"faces_jobs_{uuid.uuid4().hex[:12]}"
    with _connected(server_url) as connection:
        statement = f'CREATE DATABASE "{name}" TEMPLATE "{template}"'
        if connection.info.server_version >= 150000:
            # Copy its files; newer servers would by default write each page to the log.
            statement += " STRATEGY file_copy"
        connection.execute(statement.encode())
    return with_database(server_url, name)


def drop_database(url: str) -> None:
    """Drop a database, whoever is connected to it."""
    run_sql(
        with_database(url, "postgres"), f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)'
    )


def with_database(url: str, name: str) -> str:
    """Return the URL with another database's name."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run one statement outside of a transaction."""
    with _connected(url) as connection:
        connection.execute(statement.encode())


def _emptied(url: str, state: Any) -> bool:
    """Delete all rows, unless the test has changed more or some process still uses the database."""
    with _connected(url) as connection:
        if not _is_unused(connection) or connection.execute(_STATE.encode()).fetchone() != state:
            return False
        # Without checks of foreign keys, which would follow each row to those that refer to it.
        connection.execute("SET session_replication_role = replica")
        rows = 0
        for table in Base.metadata.tables:
            deleted = connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            rows += deleted.rowcount
        return rows <= MAX_ROWS


def _is_unused(connection: psycopg.Connection) -> bool:
    deadline = time.monotonic() + _CLOSED_WITHIN_SECONDS
    while connection.execute(_OTHER_CONNECTIONS.encode()).fetchone() != (0,):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def _connected(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)
