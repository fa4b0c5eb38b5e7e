"""Tables of jobs, items and segments, with idempotency keys and the turns of owners."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from faces_jobs.db.tables.base import Base, LeaseColumns, RowNumber, status_column
from faces_jobs.jobs.stages import Stage
from faces_jobs.jobs.status import ItemStatus, JobStatus, SegmentStatus

_HELD = "lease_token IS NOT NULL"
_PAUSED = "not_before IS NOT NULL"
_TRIED = "status = 'queued' AND attempts > 0"
_DELETED = "deleted_at IS NOT NULL"
_DISCARDED = "discarded_at IS NOT NULL"
_ACTIVE = "status IN ('queued', 'running')"  # `ACTIVE_JOBS` as the condition of an index


class JobRow(LeaseColumns, Base):
    """A submission that was accepted. Its lease is for writing the exports while `finishing`."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_newest", "created_at", "id"),
        Index("ix_jobs_status_newest", "status", "created_at", "id"),
        Index("ix_jobs_delete", "delete_at"),
        Index("ix_jobs_waiting", "status", "owner", "item_count", "bytes"),  # for `db.jobs.limits`
        Index(  # of the jobs that workers may take segments from, see `db.claims.scheduling`
            "ix_jobs_turn",
            "owner",
            "priority",
            "created_at",
            "id",
            sqlite_where=text(_ACTIVE),
            postgresql_where=text(_ACTIVE),
        ),
        Index(
            "ix_jobs_deleted",
            "id",
            sqlite_where=text(_DELETED),
            postgresql_where=text(_DELETED),
        ),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # a random UUID, not guessable
    status: Mapped[JobStatus] = mapped_column(status_column(JobStatus))
    label: Mapped[str]
    owner: Mapped[str] = mapped_column(String(128), server_default="")  # empty: not given
    priority: Mapped[int] = mapped_column(Integer, server_default="1")  # the rank: 0 comes first
    item_count: Mapped[int] = mapped_column(Integer, server_default="0")
    bytes: Mapped[int] = mapped_column(BigInteger, server_default="0")  # of all its items
    parked: Mapped[int] = mapped_column(Integer, server_default="0")  # times it waited for space
    options: Mapped[dict[str, Any]]
    root: Mapped[str | None]  # the name of a folder submission's root; None: files were uploaded
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    held_at: Mapped[float | None]  # when it was paused, or began to wait for space
    # Of earlier such times, and of those in which no worker was running.
    held_seconds: Mapped[float] = mapped_column(server_default="0")
    # Done before its start: a retry keeps the items that had succeeded.
    frames_kept: Mapped[int] = mapped_column(BigInteger, server_default="0")
    delete_at: Mapped[float | None]  # set when it ends; None: kept until it is deleted by hand
    deleted_at: Mapped[float | None]  # since then it is hidden, and its rows are being deleted
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class ItemRow(Base):
    """One file of a job."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("job_id", "position"),
        Index("ix_items_job_status", "job_id", "status"),
        Index(
            "ix_items_discarded",
            "job_id",
            "id",
            sqlite_where=text(_DISCARDED),
            postgresql_where=text(_DISCARDED),
        ),
        # Ids are never reused, so that an old link can't show another file.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str]
    status: Mapped[ItemStatus] = mapped_column(status_column(ItemStatus))
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    evidence: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    bytes: Mapped[int] = mapped_column(BigInteger)
    source: Mapped[str | None]  # an upload's storage key or the path below the root; None: refused
    modified_ns: Mapped[int | None] = mapped_column(BigInteger)  # only of files in server folders
    kind: Mapped[str | None] = mapped_column(String(16))
    format: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration_ms: Mapped[float | None]
    face_count: Mapped[int] = mapped_column(BigInteger, default=0)
    track_count: Mapped[int] = mapped_column(BigInteger, default=0)
    started_at: Mapped[float | None]  # moved on by the `held_seconds` of its job since
    ended_at: Mapped[float | None]
    # Since then its faces and tracks are hidden, and are being deleted; only of ended items.
    discarded_at: Mapped[float | None]


class SegmentRow(LeaseColumns, Base):
    """The unit of work: a run of frames of one item. `end_frame` is None up to the item's end."""

    __tablename__ = "segments"
    __table_args__ = (
        UniqueConstraint("item_id", "segment_index"),
        Index("ix_segments_job_next", "job_id", "status", "id"),
        # For the sweep: segments that wait, by the time of their last message; the few that are
        # held by a worker; and of those that wait the few that pause or were tried before.
        Index("ix_segments_status_rung", "status", "last_rung_at", "id"),
        Index(
            "ix_segments_held",
            "status",
            "id",
            sqlite_where=text(_HELD),
            postgresql_where=text(_HELD),
        ),
        Index(
            "ix_segments_paused",
            "status",
            "not_before",
            sqlite_where=text(_PAUSED),
            postgresql_where=text(_PAUSED),
        ),
        Index(
            "ix_segments_tried",
            "status",
            "attempts",
            sqlite_where=text(_TRIED),
            postgresql_where=text(_TRIED),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    item_id: Mapped[int] = mapped_column(RowNumber, ForeignKey("items.id", ondelete="CASCADE"))
    segment_index: Mapped[int]
    start_frame: Mapped[int] = mapped_column(BigInteger, default=0)
    end_frame: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[SegmentStatus] = mapped_column(status_column(SegmentStatus))
    frames_done: Mapped[int] = mapped_column(BigInteger, default=0)  # by this attempt
    frames_shown: Mapped[int] = mapped_column(BigInteger, default=0)  # the maximum of all attempts
    frames_total: Mapped[int | None] = mapped_column(BigInteger)
    damaged_frames: Mapped[int] = mapped_column(BigInteger, default=0)  # lost, or decoded in part
    started_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    stage: Mapped[str] = mapped_column(String(16), default=Stage.WHOLE)
    part: Mapped[dict[str, Any] | None]  # which part of the video, or the reason it was not cut
    error_code: Mapped[str | None]  # of the error in `last_error`, if the segment failed


class SegmentFileRow(Base):
    """A file that a segment wrote for later stages. Users never see it."""

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
    number: Mapped[int]  # of the part or track that it belongs to
    storage_key: Mapped[str]


class IdempotencyRow(Base):
    """An idempotency key, with the digest of its submission and the job that resulted."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_job", "job_id"),)

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))


class TurnRow(Base):
    """When an owner was last served. Without a row, an owner is treated as new."""

    __tablename__ = "turns"

    owner: Mapped[str] = mapped_column(String(128), primary_key=True)
    served_at: Mapped[float]
