"""Segments remember how many frames their damaged file could not give."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema. Of what was worked on before nothing was counted: none."""
    op.add_column(
        "segments",
        sa.Column("damaged_frames", sa.BigInteger(), nullable=False, server_default="0"),
    )


def downgrade() -> None:
    """Back to the schema before."""
    op.drop_column("segments", "damaged_frames")
