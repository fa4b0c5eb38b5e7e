"""Drop the lease tokens from the audit log: busy workers are found by their working folders."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    op.drop_column("audit", "tokens")


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.add_column("audit", sa.Column("tokens", sa.JSON(), nullable=False, server_default="[]"))
