"""Add tables of jobs, items, segments, tracks, faces, models and artifacts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "finishing",
                "succeeded",
                "succeeded_with_errors",
                "failed",
                "cancelled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("last_rung_at", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index("ix_jobs_newest", ["created_at", "id"], unique=False)
        batch_op.create_index("ix_jobs_status_newest", ["status", "created_at", "id"], unique=False)

    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_idempotency_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency")),
    )
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.create_index("ix_idempotency_job", ["job_id"], unique=False)

    op.create_table(
        "items",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("modified_ns", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("face_count", sa.BigInteger(), nullable=False),
        sa.Column("track_count", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_items_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("job_id", "position", name=op.f("uq_items_job_id_position")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.create_index("ix_items_job_status", ["job_id", "status"], unique=False)

    op.create_table(
        "artifacts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("track", sa.Integer(), nullable=True),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_artifacts_bytes")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_artifacts_item_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("job_id", "name", name=op.f("uq_artifacts_job_id_name")),
        sa.UniqueConstraint("storage_key", name=op.f("uq_artifacts_storage_key")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index("ix_artifacts_item", ["item_id", "kind", "track"], unique=False)
        batch_op.create_index("ix_artifacts_job_order", ["job_id", "id"], unique=False)

    op.create_table(
        "faces",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("frame_index", sa.BigInteger(), nullable=False),
        sa.Column("face_index", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("time_ms", sa.Double(), nullable=False),
        sa.Column("track", sa.Integer(), nullable=False),
        sa.Column("box_left", sa.Double(), nullable=False),
        sa.Column("box_top", sa.Double(), nullable=False),
        sa.Column("box_right", sa.Double(), nullable=False),
        sa.Column("box_bottom", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("gender", sa.String(length=16), nullable=True),
        sa.Column("gender_probability", sa.Double(), nullable=True),
        sa.Column("expression", sa.String(length=16), nullable=True),
        sa.Column("expression_probability", sa.Double(), nullable=True),
        sa.Column("illumination", sa.String(length=16), nullable=True),
        sa.Column("illumination_probability", sa.Double(), nullable=True),
        sa.Column("pose", sa.String(length=16), nullable=True),
        sa.Column("pose_probability", sa.Double(), nullable=True),
        sa.Column("occlusion", sa.String(length=16), nullable=True),
        sa.Column("occlusion_probability", sa.Double(), nullable=True),
        sa.Column("age", sa.String(length=16), nullable=True),
        sa.Column("age_probability", sa.Double(), nullable=True),
        sa.Column("makeup", sa.String(length=16), nullable=True),
        sa.Column("makeup_probability", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_faces_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "frame_index", "face_index", name=op.f("pk_faces")),
    )
    with op.batch_alter_table("faces", schema=None) as batch_op:
        batch_op.create_index(
            "ix_faces_age", ["age", "item_id", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_expression",
            ["expression", "item_id", "frame_index", "face_index"],
            unique=False,
        )
        batch_op.create_index(
            "ix_faces_gender", ["gender", "item_id", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_illumination",
            ["illumination", "item_id", "frame_index", "face_index"],
            unique=False,
        )
        batch_op.create_index(
            "ix_faces_job_order", ["job_id", "item_id", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_makeup", ["makeup", "item_id", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_occlusion",
            ["occlusion", "item_id", "frame_index", "face_index"],
            unique=False,
        )
        batch_op.create_index(
            "ix_faces_pose", ["pose", "item_id", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_time", ["item_id", "time_ms", "frame_index", "face_index"], unique=False
        )
        batch_op.create_index(
            "ix_faces_track", ["item_id", "track", "frame_index", "face_index"], unique=False
        )

    op.create_table(
        "models",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_models_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "name", name=op.f("pk_models")),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("segment_index", sa.Integer(), nullable=False),
        sa.Column("start_frame", sa.BigInteger(), nullable=False),
        sa.Column("end_frame", sa.BigInteger(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "queued",
                "running",
                "succeeded",
                "failed",
                "cancelled",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("frames_done", sa.BigInteger(), nullable=False),
        sa.Column("frames_shown", sa.BigInteger(), nullable=False),
        sa.Column("frames_total", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("lease_token", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("last_rung_at", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_segments_item_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_segments_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segments")),
        sa.UniqueConstraint(
            "item_id", "segment_index", name=op.f("uq_segments_item_id_segment_index")
        ),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.create_index("ix_segments_job_status", ["job_id", "status"], unique=False)
        batch_op.create_index(
            "ix_segments_status_rung", ["status", "last_rung_at", "id"], unique=False
        )

    op.create_table(
        "tracks",
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("track", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("first_frame_index", sa.BigInteger(), nullable=False),
        sa.Column("last_frame_index", sa.BigInteger(), nullable=False),
        sa.Column("first_time_ms", sa.Double(), nullable=False),
        sa.Column("last_time_ms", sa.Double(), nullable=False),
        sa.Column("face_count", sa.BigInteger(), nullable=False),
        sa.Column("mean_score", sa.Double(), nullable=False),
        sa.Column("best_frame_index", sa.BigInteger(), nullable=False),
        sa.Column("best_time_ms", sa.Double(), nullable=False),
        sa.Column("best_left", sa.Double(), nullable=False),
        sa.Column("best_top", sa.Double(), nullable=False),
        sa.Column("best_right", sa.Double(), nullable=False),
        sa.Column("best_bottom", sa.Double(), nullable=False),
        sa.Column("gender", sa.String(length=16), nullable=True),
        sa.Column("gender_probability", sa.Double(), nullable=True),
        sa.Column("expression", sa.String(length=16), nullable=True),
        sa.Column("expression_probability", sa.Double(), nullable=True),
        sa.Column("illumination", sa.String(length=16), nullable=True),
        sa.Column("illumination_probability", sa.Double(), nullable=True),
        sa.Column("pose", sa.String(length=16), nullable=True),
        sa.Column("pose_probability", sa.Double(), nullable=True),
        sa.Column("occlusion", sa.String(length=16), nullable=True),
        sa.Column("occlusion_probability", sa.Double(), nullable=True),
        sa.Column("age", sa.String(length=16), nullable=True),
        sa.Column("age_probability", sa.Double(), nullable=True),
        sa.Column("makeup", sa.String(length=16), nullable=True),
        sa.Column("makeup_probability", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_tracks_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "track", name=op.f("pk_tracks")),
    )
    with op.batch_alter_table("tracks", schema=None) as batch_op:
        batch_op.create_index("ix_tracks_job_order", ["job_id", "item_id", "track"], unique=False)


def downgrade() -> None:
    """Downgrade to the previous revision."""
    with op.batch_alter_table("tracks", schema=None) as batch_op:
        batch_op.drop_index("ix_tracks_job_order")

    op.drop_table("tracks")
    with op.batch_alter_table("segments", schema=None) as batch_op:
        batch_op.drop_index("ix_segments_status_rung")
        batch_op.drop_index("ix_segments_job_status")

    op.drop_table("segments")
    op.drop_table("models")
    with op.batch_alter_table("faces", schema=None) as batch_op:
        batch_op.drop_index("ix_faces_track")
        batch_op.drop_index("ix_faces_time")
        batch_op.drop_index("ix_faces_pose")
        batch_op.drop_index("ix_faces_occlusion")
        batch_op.drop_index("ix_faces_makeup")
        batch_op.drop_index("ix_faces_job_order")
        batch_op.drop_index("ix_faces_illumination")
        batch_op.drop_index("ix_faces_gender")
        batch_op.drop_index("ix_faces_expression")
        batch_op.drop_index("ix_faces_age")

    op.drop_table("faces")
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.drop_index("ix_artifacts_job_order")
        batch_op.drop_index("ix_artifacts_item")

    op.drop_table("artifacts")
    with op.batch_alter_table("items", schema=None) as batch_op:
        batch_op.drop_index("ix_items_job_status")

    op.drop_table("items")
    with op.batch_alter_table("idempotency", schema=None) as batch_op:
        batch_op.drop_index("ix_idempotency_job")

    op.drop_table("idempotency")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index("ix_jobs_status_newest")
        batch_op.drop_index("ix_jobs_newest")

    op.drop_table("jobs")
