"""The tables. Rows are the truth: messages, files and processes may vanish, rows say what is.

Times of day are seconds since 1970 by the database's clock. Every many-rowed table carries the
job's id, so that the questions asked of one job need no join.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus

OPEN_JOBS = "status IN ('queued', 'running')"  # `ACTIVE_JOBS`, as an index is told of them
MISSING_FILES = "missing_since IS NOT NULL"
# SQLite numbers rows by itself only where the type is exactly INTEGER (which holds 64 bits there).
RowNumber = BigInteger().with_variant(Integer, "sqlite")


def _status(states: type[StrEnum]) -> Enum:
    """Text with a check: a state that the code doesn't know can't be stored."""
    return Enum(
        states,
        name="status",
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda given: [state.value for state in given],
    )


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop or alter it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's own form)
        float: Double(),
        str: Text(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


class LeaseColumns:
    """Who works on the row, and until when its word counts.

    A worker's writes are accepted only while `lease_token` is the one it was given: a new claim
    brings a new token, so what an older claimant still does changes nothing.
    """

    lease_token: Mapped[str | None]
    lease_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None]
    last_rung_at: Mapped[float | None]  # None: no message was sent yet; the sweep sends one
    last_error: Mapped[str | None]  # what ended the last attempt: the evidence when none is left
    not_before: Mapped[float | None]  # the pause after a failed attempt
    exit_signal: Mapped[str | None] = mapped_column(String(16))  # that killed the last worker
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger)  # of it, when last heard of


class AttributeColumns:
    """A label and its probability for each head; both None where the head was off."""

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


class JobRow(LeaseColumns, Base):
    """What a user sent, as one whole. Its lease is for writing the exports while `finishing`."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_newest", "created_at", "id"),
        Index("ix_jobs_status_newest", "status", "created_at", "id"),
        Index("ix_jobs_delete", "delete_at"),
        Index("ix_jobs_waiting", "status", "owner", "item_count", "bytes"),  # how much waits
        Index(  # of the jobs that workers may take from: whose turn it is (see `db.turns`)
            "ix_jobs_turn",
            "owner",
            "priority",
            "created_at",
            "id",
            sqlite_where=text(OPEN_JOBS),
            postgresql_where=text(OPEN_JOBS),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # a random UUID: not guessable
    status: Mapped[JobStatus] = mapped_column(_status(JobStatus))
    label: Mapped[str]
    owner: Mapped[str] = mapped_column(String(128), server_default="")  # empty: all who don't say
    priority: Mapped[int] = mapped_column(Integer, server_default="1")  # its rank: 0 is first
    item_count: Mapped[int] = mapped_column(Integer, server_default="0")
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")  # of its items together
    parked: Mapped[int] = mapped_column(Integer, server_default="0")  # how often, for want of space
    options: Mapped[dict[str, Any]]
    root: Mapped[str | None]  # of a folder submission: the root's name; None: files were uploaded
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    delete_at: Mapped[float | None]  # once it has ended; None: kept until somebody deletes it
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ItemRow(Base):
    """One file of a job."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        Index("ix_items_job_status", "job_id", "status"),
        # Numbers are never used twice, so an old link can't show another file.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str]
    status: Mapped[ItemStatus] = mapped_column(_status(ItemStatus))
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    bytes: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str | None]  # an upload's storage key, or the path below the root; None: refused
    modified_ns: Mapped[int | None] = mapped_column(BigInteger)  # of a file in a server folder
    kind: Mapped[str | None] = mapped_column(String(16))
    format: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_ms: Mapped[float | None]
    face_count: Mapped[int] = mapped_column(BigInteger, default=0)
    track_count: Mapped[int] = mapped_column(BigInteger, default=0)
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]


class SegmentRow(LeaseColumns, Base):
    """The unit of work: a run of frames of one item. `end_frame` None: to the item's end."""

    __tablename__ = "segments"
    __table_args__ = (
        UniqueConstraint("item_id", "segment_index"),
        Index("ix_segments_job_next", "job_id", "status", "id"),
        Index("ix_segments_status_rung", "status", "last_rung_at", "id"),  # what the sweep asks
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    item_id: Mapped[int] = mapped_column(RowNumber, ForeignKey("items.id", ondelete="CASCADE"))
    segment_index: Mapped[int]
    start_frame: Mapped[int] = mapped_column(BigInteger, default=0)
    end_frame: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[SegmentStatus] = mapped_column(_status(SegmentStatus))
    frames_done: Mapped[int] = mapped_column(BigInteger, default=0)  # of this attempt
    frames_shown: Mapped[int] = mapped_column(BigInteger, default=0)  # the most of any attempt
    frames_total: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    stage: Mapped[str] = mapped_column(String(16), default=Stage.WHOLE)
    part: Mapped[dict[str, Any] | None]  # which part of the video; or why it was not cut
    error_code: Mapped[str | None]  # of the error in `last_error` that failed it


class SegmentFileRow(Base):
    """A file that one segment made for the stages after it. No user ever sees it."""

    __tablename__ = "segment_files"
    __table_args__ = (
        UniqueConstraint("storage_key"),
        Index("ix_segment_files_item", "item_id", "kind"),
        Index("ix_segment_files_job", "job_id"),
    )

    segment_id: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    job_id: Mapped[str] = mapped_column(String(36))
    item_id: Mapped[int] = mapped_column(RowNumber)
    kind: Mapped[str] = mapped_column(String(32))
    number: Mapped[int]  # of the part, or of the track, that it belongs to
    storage_key: Mapped[str]


class TrackRow(AttributeColumns, Base):
    """One face through the frames of an item, with the attributes its votes settled to."""

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
    """One face in one frame. Its key is its place, so that writing it twice is writing it once."""

    __tablename__ = "faces"
    __table_args__ = (
        Index("ix_faces_job_order", "job_id", "item_id", "frame_index", "face_index"),
        Index("ix_faces_track", "item_id", "track", "frame_index", "face_index"),
        Index("ix_faces_time", "item_id", "time_ms", "frame_index", "face_index"),
        # Across jobs, by one label, in the order of pages.
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
    """A network whose answers are in an item's rows."""

    __tablename__ = "models"

    item_id: Mapped[int] = mapped_column(
        RowNumber, ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    # As text, since PostgreSQL can't tell JSON apart; None: from before there were thresholds.
    unsure_below: Mapped[str | None]


class ArtifactRow(Base):
    """A stored file. The row is what makes the file visible."""

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
    missing_since: Mapped[float | None]  # somebody looked, and the file was not there


class IdempotencyRow(Base):
    """A key that a client sent with a submission, and what it stood for."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_job", "job_id"),)

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))


class ProcessRow(Base):
    """A process that lives, or did a moment ago. It tells so itself; the sweep drops the silent."""

    __tablename__ = "processes"
    __table_args__ = (Index("ix_processes_seen", "seen_at"),)

    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # as rows' `worker` has it
    kind: Mapped[str] = mapped_column(String(16))
    host: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    device: Mapped[str | None]
    gpu_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    gpu_total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    started_at: Mapped[float]
    seen_at: Mapped[float]


class MeasureRow(Base):
    """A figure for the metrics: what processes counted in sum, or the sweep found in the rows."""

    __tablename__ = "measures"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float]
    told_at: Mapped[float]


class AuditRow(Base):
    """What was deleted, why, by whom, and whether it was seen to be gone. Kept for ever.

    `next_at` None: nothing is left to be done. Nothing of the job's content stands here.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_next", "next_at", "id"),
        Index("ix_audit_job", "job_id", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    at: Mapped[float]
    what: Mapped[str] = mapped_column(String(32))
    job_id: Mapped[str] = mapped_column(String(36))  # no key: the job is gone
    why: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(String(128))
    rows: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    tokens: Mapped[list[str]]
    held_until: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None]
    verified_at: Mapped[float | None]
    last_error: Mapped[str | None]


class DeliveryRow(Base):
    """One webhook that is to reach its receiver, stored with the end of the job it tells of.

    `next_at` None: nothing more will be sent. The lease keeps two senders apart, as a segment's
    does two workers.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_next", "next_at", "id"),
        Index("ix_deliveries_job_order", "job_id", "created_at", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    url: Mapped[str]
    event: Mapped[str] = mapped_column(String(64))
    body: Mapped[str]  # the bytes that are signed and sent, the same at each attempt
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None]
    lease_token: Mapped[str | None]
    lease_until: Mapped[float | None]
    delivered_at: Mapped[float | None]
    given_up_at: Mapped[float | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]
    created_at: Mapped[float]


class DeliveryAttemptRow(Base):
    """One try at a delivery. `ended_at` None: it is being made, or its sender died at it."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[str] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    status: Mapped[int | None]
    error: Mapped[str | None]


class TurnRow(Base):
    """When an owner was last served. A memory only: without it an owner begins as a new one."""

    __tablename__ = "turns"

    owner: Mapped[str] = mapped_column(String(128), primary_key=True)
    served_at: Mapped[float]
