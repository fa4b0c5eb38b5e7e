"""Add pauses between attempts, and evidence of attempts that ended without a result."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

LEASED = ("segments", "jobs")
EXPLAINED = ("items", "jobs")


def upgrade() -> None:
    """Upgrade to this revision."""
    for table in LEASED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("not_before", sa.Double(), nullable=True))
            batch_op.add_column(sa.Column("exit_signal", sa.String(length=16), nullable=True))
            batch_op.add_column(sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))
    for table in EXPLAINED:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("evidence", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Downgrade to the previous revision."""
    for table in EXPLAINED:
        op.drop_column(table, "evidence")
    for table in LEASED:
        for column in ("peak_memory_bytes", "exit_signal", "not_before"):
            op.drop_column(table, column)
