"""Add to artifacts the time since when their file is missing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

MISSING = sa.text("missing_since IS NOT NULL")


def upgrade() -> None:
    """Upgrade to this revision."""
    op.add_column("artifacts", sa.Column("missing_since", sa.Double(), nullable=True))
    op.create_index(
        "ix_artifacts_missing",
        "artifacts",
        ["item_id"],
        sqlite_where=MISSING,
        postgresql_where=MISSING,
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_artifacts_missing", "artifacts")
    op.drop_column("artifacts", "missing_since")
