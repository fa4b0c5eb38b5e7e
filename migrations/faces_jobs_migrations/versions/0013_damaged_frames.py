"""Add to segments the number of frames that could not be decoded from a damaged file."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision. Existing segments get 0, since they were not counted."""
    op.add_column(
        "segments",
        sa.Column("damaged_frames", sa.BigInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_column("segments", "damaged_frames")
