"""What an operator asks: which processes live, what they counted, what was deleted and why."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from faces_jobs.db.tables.base import Base, RowNumber


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
    held_until: Mapped[float | None]  # so long its workers may still be at it
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[float | None]
    verified_at: Mapped[float | None]
    last_error: Mapped[str | None]
