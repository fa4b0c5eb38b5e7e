"""Add to jobs the time since when they are hidden while their rows are being deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

DELETED = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    """Upgrade to this revision."""
    op.add_column("jobs", sa.Column("deleted_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_jobs_deleted",
        "jobs",
        ["id"],
        sqlite_where=DELETED,
        postgresql_where=DELETED,
    )


def downgrade() -> None:
    """Downgrade to the previous revision. A deletion that is under way is not finished then."""
    op.drop_index("ix_jobs_deleted", "jobs")
    op.drop_column("jobs", "deleted_at")
