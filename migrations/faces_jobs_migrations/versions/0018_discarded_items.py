"""Add to items the time since when their results are hidden while the rows are being deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

DISCARDED = sa.text("discarded_at IS NOT NULL")


def upgrade() -> None:
    """Upgrade to this revision."""
    op.add_column("items", sa.Column("discarded_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_items_discarded",
        "items",
        ["job_id", "id"],
        sqlite_where=DISCARDED,
        postgresql_where=DISCARDED,
    )


def downgrade() -> None:
    """Downgrade to the previous revision. What is discarded but not deleted yet is kept then."""
    op.drop_index("ix_items_discarded", "items")
    op.drop_column("items", "discarded_at")
