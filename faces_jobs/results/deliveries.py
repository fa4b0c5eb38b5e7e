"""Lists the webhooks of a job, each with its delivery attempts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from faces_jobs.db.clock import as_datetime
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryAttemptRow, DeliveryRow
from faces_jobs.jobs.documents import (
    DeliveryAttemptDocument,
    DeliveryDocument,
    DeliveryPage,
    DeliveryState,
)
from faces_jobs.jobs.query import DEFAULT_PAGE_SIZE
from faces_jobs.results.pages import check_job_exists, check_limit, decode_cursor, encode_cursor


def list_deliveries(
    database: Database, job_id: str, *, cursor: str | None = None, limit: int = DEFAULT_PAGE_SIZE
) -> DeliveryPage:
    """Return a page of a job's webhooks, oldest first: one for each time that the job ended.

    Raises:
        NotFoundError: there is no such job.
        OptionsError: the cursor or limit is invalid.
    """
    check_limit(limit)
    after = decode_cursor(cursor, (float, str))
    statement = (
        select(DeliveryRow)
        .where(DeliveryRow.job_id == job_id)
        .order_by(DeliveryRow.created_at, DeliveryRow.id)
    )
    if after is not None:
        statement = statement.where(tuple_(DeliveryRow.created_at, DeliveryRow.id) > tuple_(*after))
    with database.read() as session:
        check_job_exists(session, job_id)
        rows = session.scalars(statement.limit(limit + 1)).all()
        shown = rows[:limit]
        attempts = _attempts(session, [row.id for row in shown])
    return DeliveryPage(
        deliveries=[_document(row, attempts[row.id]) for row in shown],
        next_cursor=(
            encode_cursor([float(shown[-1].created_at), shown[-1].id])
            if len(rows) > limit
            else None
        ),
    )


def _attempts(
    session: Session, delivery_ids: Sequence[str]
) -> dict[str, list[DeliveryAttemptDocument]]:
    attempts: dict[str, list[DeliveryAttemptDocument]] = {one: [] for one in delivery_ids}
    rows = session.scalars(
        select(DeliveryAttemptRow)
        .where(DeliveryAttemptRow.delivery_id.in_(delivery_ids))
        .order_by(DeliveryAttemptRow.delivery_id, DeliveryAttemptRow.attempt)
    )
    for row in rows:
        attempts[row.delivery_id].append(
            DeliveryAttemptDocument(
                attempt=row.attempt,
                started_at=as_datetime(row.started_at),
                ended_at=None if row.ended_at is None else as_datetime(row.ended_at),
                status=row.status,
                error=row.error,
            )
        )
    return attempts


def _document(row: DeliveryRow, attempts: list[DeliveryAttemptDocument]) -> DeliveryDocument:
    return DeliveryDocument(
        id=row.id,
        job_id=row.job_id,
        url=row.url,
        event=row.event,
        state=_state(row),
        created_at=as_datetime(row.created_at),
        next_at=None if row.next_at is None else as_datetime(row.next_at),
        delivered_at=None if row.delivered_at is None else as_datetime(row.delivered_at),
        given_up_at=None if row.given_up_at is None else as_datetime(row.given_up_at),
        last_status=row.last_status,
        last_error=row.last_error,
        attempts=attempts,
    )


def _state(row: DeliveryRow) -> DeliveryState:
    if row.delivered_at is not None:
        return "delivered"
    return "waiting" if row.given_up_at is None else "given_up"
