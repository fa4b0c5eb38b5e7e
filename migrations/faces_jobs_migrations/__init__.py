"""The Alembic migrations, as a package so that they are part of the wheel."""
