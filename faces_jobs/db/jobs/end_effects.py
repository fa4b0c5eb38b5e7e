"""The side effects of a job's end: when it is to be deleted, and its webhook.

They are written in the transaction that ends the job.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from faces_jobs.db.clock import as_datetime
from faces_jobs.db.tables import DeliveryRow, ItemRow, JobRow

EVENT_PREFIX = "job."
DAY_SECONDS = 24 * 3600.0


def record_end(session: Session, job_id: str) -> None:
    """Set the time at which an ended job is deleted, and insert its webhook's delivery, if any.

    Call this once, after the update that ended the job.
    """
    job = session.execute(
        select(
            JobRow.id,
            JobRow.status,
            JobRow.label,
            JobRow.options,
            JobRow.created_at,
            JobRow.started_at,
            JobRow.ended_at,
            JobRow.error_code,
            JobRow.error_message,
        ).where(JobRow.id == job_id)
    ).one()
    days = job.options.get("keep_days")
    delete_at = None if days is None else job.ended_at + days * DAY_SECONDS
    session.execute(update(JobRow).where(JobRow.id == job_id).values(delete_at=delete_at))
    url = job.options.get("webhook")
    if not url:
        return
    items = session.execute(
        select(ItemRow.status, func.count())
        .where(ItemRow.job_id == job_id)
        .group_by(ItemRow.status)
        .order_by(ItemRow.status)
    ).all()
    delivery_id = str(uuid.uuid4())
    event = f"{EVENT_PREFIX}{job.status}"
    session.execute(
        insert(DeliveryRow).values(
            id=delivery_id,
            job_id=job_id,
            url=url,
            event=event,
            body=_body(delivery_id, event, job, {str(status): count for status, count in items}),
            attempts=0,
            next_at=job.ended_at,
            created_at=job.ended_at,
        )
    )


def _body(delivery_id: str, event: str, job: Any, items: dict[str, int]) -> str:
    error = None
    if job.error_code is not None:
        error = {"code": job.error_code, "message": job.error_message or ""}
    document = {
        "id": delivery_id,
        "type": event,
        "timestamp": _iso(job.ended_at),
        "data": {
            "job_id": job.id,
            "status": str(job.status),
            "label": job.label,
            "created_at": _iso(job.created_at),
            "started_at": _iso(job.started_at),
            "ended_at": _iso(job.ended_at),
            "items_by_status": items,
            "error": error,
        },
    }
    return json.dumps(document, separators=(",", ":"))


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return as_datetime(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
