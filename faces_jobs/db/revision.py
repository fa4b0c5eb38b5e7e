"""Which schema a database has, and which one this code wants; told without loading Alembic.

Every process asks when it starts, and few have anything to migrate.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from faces_jobs.errors import DatabaseError

MIGRATIONS_PACKAGE = "faces_jobs_migrations"


def current_revision(connection: Connection) -> str | None:
    """The revision that an open connection's database has; None where it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@cache
def newest_revision() -> str:
    """The revision that this code's tables are of: the last by the names of their files.

    Raises:
        DatabaseError: there are no migrations.
    """
    names = (each.name for each in (files(MIGRATIONS_PACKAGE) / "versions").iterdir())
    revisions = [name.partition("_")[0] for name in names if name.endswith(".py")]
    numbers = [revision for revision in revisions if revision.isdecimal()]
    if not numbers:
        raise DatabaseError("This installation carries no migrations: install faces_jobs again.")
    return max(numbers)
