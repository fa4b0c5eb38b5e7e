"""What the sweep asks of segments that wait: a step along an index, however many there are."""

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
    """To this schema."""
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
    """Back to the schema before."""
    op.drop_index("ix_segments_tried", "segments")
    op.drop_index("ix_segments_paused", "segments")
    op.drop_index("ix_segments_held", "segments")
