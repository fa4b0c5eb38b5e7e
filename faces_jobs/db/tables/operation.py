"""Tables for operators: running processes, metrics and the audit log of deletions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from faces_jobs.db.tables.base import Base, RowNumber


class ProcessRow(Base):
    """A running process, kept up to date by its heartbeats. The sweep deletes stale rows."""

    __tablename__ = "processes"
    __table_args__ = (Index("ix_processes_seen", "seen_at"),)

    name: Mapped[str] = mapped_column(String(128), primary_key=True)  # as in the `worker` columns
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
    """A metric's value: the sum of what processes counted, or a count of rows by the sweep."""

    __tablename__ = "measures"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float]
    told_at: Mapped[float]


class AuditRow(Base):
    """A deletion: what was deleted, why, by whom, and whether it was verified. Kept forever.

    `next_at` is None once nothing is left to do. It contains nothing of the job's content.
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
    job_id: Mapped[str] = mapped_column(String(36))  # not a foreign key: the job is gone
    why: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(String(128))
    rows: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)
    held_until: Mapped[float | None]  # until then workers may still be busy with the job
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None]
    verified_at: Mapped[float | None]
    last_error: Mapped[str | None]
