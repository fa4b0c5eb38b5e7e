"""Alembic's environment script. `faces_jobs.db.migrate` passes its connection, in a transaction."""

from __future__ import annotations

from alembic import context

from faces_jobs.db.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
)
context.run_migrations()
