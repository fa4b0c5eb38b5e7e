"""Tables of webhook deliveries and their attempts."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from faces_jobs.db.tables.base import Base


class DeliveryRow(Base):
    """A webhook to be delivered, inserted in the transaction that ends the job.

    `next_at` is None once it was delivered or given up. The lease prevents concurrent senders, as
    a segment's lease prevents concurrent workers.
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
    body: Mapped[str]  # signed and sent unchanged at each attempt
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
    """An attempt at a delivery. `ended_at` is None while it runs, or if its sender died."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[str] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    status: Mapped[int | None]
    error: Mapped[str | None]
