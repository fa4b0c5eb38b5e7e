"""Add to jobs the time on hold, and the frames kept by a retry: their rate counts neither."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision. Of earlier times on hold and retries nothing is known."""
    op.add_column("jobs", sa.Column("held_at", sa.Double()))
    op.add_column(
        "jobs", sa.Column("held_seconds", sa.Double(), nullable=False, server_default="0")
    )
    op.add_column(
        "jobs", sa.Column("frames_kept", sa.BigInteger(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_column("jobs", "frames_kept")
    op.drop_column("jobs", "held_seconds")
    op.drop_column("jobs", "held_at")
