"""Add partial indexes for the sweep, so that its cost does not grow with the waiting segments."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

HELD = sa.text("lease_token IS NOT NULL")
PAUSED = sa.text("not_before IS NOT NULL")
TRIED = sa.text("status = 'queued' AND attempts > 0")


def upgrade() -> None:
    """Upgrade to this revision."""
    op.create_index(
        "ix_segments_held",
        "segments",
        ["status", "id"],
        sqlite_where=HELD,
        postgresql_where=HELD,
    )
    op.create_index(
        "ix_segments_paused",
        "segments",
        ["status", "not_before"],
        sqlite_where=PAUSED,
        postgresql_where=PAUSED,
    )
    op.create_index(
        "ix_segments_tried",
        "segments",
        ["status", "attempts"],
        sqlite_where=TRIED,
        postgresql_where=TRIED,
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_index("ix_segments_tried", "segments")
    op.drop_index("ix_segments_paused", "segments")
    op.drop_index("ix_segments_held", "segments")
