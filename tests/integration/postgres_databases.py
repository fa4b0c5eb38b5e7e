"""Databases on a PostgreSQL server, each created for one test and dropped after it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import make_url


@contextmanager
def copied_database(server_url: str, template: str) -> Iterator[str]:
    """Copy the database `template`; yields the copy's URL, and drops it at the end."""
    name = f"faces_jobs_{uuid.uuid4().hex[:12]}"
    with _connected(server_url) as connection:
        statement = f'CREATE DATABASE "{name}" TEMPLATE "{template}"'
        if connection.info.server_version >= 150000:
            # Copy its files; newer servers would by default write each page to the log.
            statement += " STRATEGY file_copy"
        connection.execute(statement.encode())
    yield with_database(server_url, name)
    run_sql(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def with_database(url: str, name: str) -> str:
    """Return the URL with another database's name."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def run_sql(url: str, statement: str) -> None:
    """Run one statement outside of a transaction."""
    with _connected(url) as connection:
        connection.execute(statement.encode())


def _connected(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)
