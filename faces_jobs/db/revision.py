"""The schema revision of a database, and the newest one of this version, read without Alembic.

Every process checks them when it starts, and importing Alembic is slow.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from faces_jobs.errors import DatabaseError

MIGRATIONS_PACKAGE = "faces_jobs_migrations"


def current_revision(connection: Connection) -> str | None:
    """Return the revision of a connection's database; None if it has no schema of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


@cache
def newest_revision() -> str:
    """Return the newest revision, by the file names of the migrations.

    Raises:
        DatabaseError: the installation has no migrations.
    """
    names = (each.name for each in (files(MIGRATIONS_PACKAGE) / "versions").iterdir())
    revisions = [name.partition("_")[0] for name in names if name.endswith(".py")]
    numbers = [revision for revision in revisions if revision.isdecimal()]
    if not numbers:
        raise DatabaseError("This installation has no migrations: install faces_jobs again.")
    return max(numbers)
