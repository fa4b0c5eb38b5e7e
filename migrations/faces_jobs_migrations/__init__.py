"""Alembic migrations as a package, so that an installed wheel can migrate its database."""
