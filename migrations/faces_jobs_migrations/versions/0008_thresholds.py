"""Beside each model of an item: below which probabilities its answers were `unsure`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """To this schema."""
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unsure_below", sa.Text(), nullable=True))


def downgrade() -> None:
    """Back to the schema before. Labels that are `unsure` stay so: what they were is not kept."""
    op.drop_column("models", "unsure_below")
