"""Add the size of each job, for the limits of the queue, and how often it waited for disk space."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("item_count", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("parked", sa.Integer(), server_default="0", nullable=False))
        batch_op.create_index(
            "ix_jobs_waiting", ["status", "owner", "item_count", "bytes"], unique=False
        )
    op.execute(
        "UPDATE jobs SET"
        " item_count = (SELECT count(*) FROM items WHERE items.job_id = jobs.id),"
        " bytes = (SELECT coalesce(sum(items.bytes), 0) FROM items WHERE items.job_id = jobs.id)"
    )


def downgrade() -> None:
    """Downgrade to the previous revision."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_jobs_waiting")
        batch_op.drop_column("parked")
        batch_op.drop_column("bytes")
        batch_op.drop_column("item_count")
