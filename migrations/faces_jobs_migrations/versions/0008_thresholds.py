"""Add to each item's models the thresholds below which labels became `unsure`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unsure_below", sa.Text(), nullable=True))


def downgrade() -> None:
    """Downgrade to the previous revision. Labels stay `unsure`: the others were not stored."""
    op.drop_column("models", "unsure_below")
