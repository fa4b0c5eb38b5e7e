"""Tables of results: tracks, faces, the networks that were used, and stored files."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from faces_jobs.db.tables.base import Base, RowNumber
from faces_jobs.jobs.labels import HEADS

MISSING_FILES = "missing_since IS NOT NULL"


class AttributeColumns:
    """The label of each head and its probability; both are None if the head was off."""

    gender: Mapped[str | None] = mapped_column(String(16))
    gender_probability: Mapped[float | None]
    expression: Mapped[str | None] = mapped_column(String(16))
    expression_probability: Mapped[float | None]
    illumination: Mapped[str | None] = mapped_column(String(16))
    illumination_probability: Mapped[float | None]
    pose: Mapped[str | None] = mapped_column(String(16))
    pose_probability: Mapped[float | None]
    occlusion: Mapped[str | None] = mapped_column(String(16))
    occlusion_probability: Mapped[float | None]
    age: Mapped[str | None] = mapped_column(String(16))
    age_probability: Mapped[float | None]
    makeup: Mapped[str | None] = mapped_column(String(16))
    makeup_probability: Mapped[float | None]


class TrackRow(AttributeColumns, Base):
    """One face through the frames of an item, with the attributes its opinions settled to."""

    __tablename__ = "tracks"
    __table_args__ = (Index("ix_tracks_job_order", "job_id", "item_id", "track"),)

    item_id: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
    )
    track: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(String(36))
    first_frame_index: Mapped[int] = mapped_column(BigInteger)
    last_frame_index: Mapped[int] = mapped_column(BigInteger)
    first_time_ms: Mapped[float]
    last_time_ms: Mapped[float]
    face_count: Mapped[int] = mapped_column(BigInteger)
    mean_score: Mapped[float]
    best_frame_index: Mapped[int] = mapped_column(BigInteger)
    best_time_ms: Mapped[float]
    best_left: Mapped[float]
    best_top: Mapped[float]
    best_right: Mapped[float]
    best_bottom: Mapped[float]


class FaceRow(AttributeColumns, Base):
    """One face in one frame. It has a natural key, so that writing it is idempotent."""

    __tablename__ = "faces"
    __table_args__ = (
        Index("ix_faces_job_order", "job_id", "item_id", "frame_index", "face_index"),
        # For pages across all jobs, filtered by one label.
        *(
            Index(f"ix_faces_{head}", head, "item_id", "frame_index", "face_index")
            for head in HEADS
        ),
    )

    item_id: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
    )
    frame_index: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    face_index: Mapped[int] = mapped_column(Integer, primary_key=True)
    job_id: Mapped[str] = mapped_column(String(36))
    time_ms: Mapped[float]
    track: Mapped[int]
    box_left: Mapped[float]
    box_top: Mapped[float]
    box_right: Mapped[float]
    box_bottom: Mapped[float]
    score: Mapped[float]


class ModelRow(Base):
    """A network that an item's faces and tracks were analysed with."""

    __tablename__ = "models"

    item_id: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    # JSON as text, since PostgreSQL can't compare JSON values; None: written before thresholds.
    unsure_below: Mapped[str | None]


class ArtifactRow(Base):
    """A stored file, which becomes visible to users by this row."""

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("job_id", "name"),
        UniqueConstraint("storage_key"),
        Index("ix_artifacts_job_order", "job_id", "id"),
        Index("ix_artifacts_item", "item_id", "kind", "track"),
        Index(
            "ix_artifacts_missing",
            "item_id",
            sqlite_where=text(MISSING_FILES),
            postgresql_where=text(MISSING_FILES),
        ),
        CheckConstraint("bytes >= 0", name="bytes"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    item_id: Mapped[int | None] = mapped_column(
        RowNumber, ForeignKey("items.id", ondelete="CASCADE")
    )
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    track: Mapped[int | None]
    storage_key: Mapped[str]
    missing_since: Mapped[float | None]  # when a check first found no file
