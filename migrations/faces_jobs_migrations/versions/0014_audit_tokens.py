"""The audit keeps no tokens of leases: who works on a job is told by the folders they work in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    op.drop_column("audit", "tokens")


def downgrade() -> None:
    """Back to the schema before."""
    op.add_column("audit", sa.Column("tokens", sa.JSON(), nullable=False, server_default="[]"))
