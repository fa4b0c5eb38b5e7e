"""Add stages, and the files passed between them, so that several workers can share a video."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Upgrade to this revision. Existing segments get the stage `whole`."""
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("stage", sa.String(length=16), nullable=False, server_default="whole")
        )
        batch_op.add_column(sa.Column("part", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("error_code", sa.Text(), nullable=True))
    op.create_table(
        "segment_files",
        sa.Column("segment_id", NUMBER, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", NUMBER, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["segment_id"],
            ["segments.id"],
            name=op.f("fk_segment_files_segment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("segment_id", "name", name=op.f("pk_segment_files")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_segment_files_storage_key")),
    )
    op.create_index("ix_segment_files_item", "segment_files", ["item_id", "kind"])
    op.create_index("ix_segment_files_job", "segment_files", ["job_id"])


def downgrade() -> None:
    """Downgrade to the previous revision. Running items that were cut start over, uncut."""
    op.drop_index("ix_segment_files_job", table_name="segment_files")
    op.drop_index("ix_segment_files_item", table_name="segment_files")
    op.drop_table("segment_files")
    op.execute("DELETE FROM segments WHERE stage <> 'whole' AND segment_index > 0")
    op.execute(
        "UPDATE segments SET status = 'queued', end_frame = NULL, attempts = 0, "
        "lease_token = NULL, last_rung_at = NULL WHERE stage NOT IN ('whole', 'uncut') "
        "AND item_id IN (SELECT id FROM items WHERE status = 'running')"
    )
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.drop_column("error_code")
        batch_op.drop_column("part")
        batch_op.drop_column("stage")
