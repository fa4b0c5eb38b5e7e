"""Add owners and priorities of jobs, and the turns of owners, for fair scheduling."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPEN_JOBS = sa.text("status IN ('queued', 'running')")


def upgrade() -> None:
    """Upgrade to this revision."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("owner", sa.String(length=128), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("priority", sa.Integer(), server_default="1", nullable=False))
        batch_op.create_index(
            "ix_jobs_turn",
            ["owner", "priority", "created_at", "id"],
            unique=False,
            sqlite_where=OPEN_JOBS,
            postgresql_where=OPEN_JOBS,
        )
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.drop_index("ix_segments_job_status")
        batch_op.create_index("ix_segments_job_next", ["job_id", "status", "id"], unique=False)
    op.create_table(
        "turns",
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("served_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_turns")),
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    op.drop_table("turns")
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.drop_index("ix_segments_job_next")
        batch_op.create_index("ix_segments_job_status", ["job_id", "status"], unique=False)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_jobs_turn")
        batch_op.drop_column("priority")
        batch_op.drop_column("owner")
