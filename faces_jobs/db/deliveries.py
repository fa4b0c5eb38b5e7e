"""Deliveries of webhooks: which are due, claiming them, and recording attempts.

As with segments, a delivery is claimed by one UPDATE that sets a token, and outcomes are accepted
only with that token. If a sender dies, its lease expires, and the next sender sends the same body
with the same id.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, and_, func, insert, not_, or_, select, update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.retry_delays import retry_delay_seconds
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryAttemptRow, DeliveryRow

GIVE_UP_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery that is due."""

    id: str
    receiver: str  # the origin of its URL: scheme, host and port, in lower case


@dataclass(frozen=True, slots=True)
class DeliveryClaim:
    """A delivery that this process sends under a lease."""

    delivery_id: str
    job_id: str
    token: str
    attempt: int  # from 1
    url: str
    body: str


def due_deliveries(
    database: Database, *, limit: int, without: Collection[str] = ()
) -> list[DueDelivery]:
    """Return deliveries that are due and not being sent, the longest due first.

    Deliveries to the receivers in `without` are excluded.
    """
    statement = (
        select(DeliveryRow.id, DeliveryRow.url)
        .where(_is_due(), *(not_(_has_receiver(receiver)) for receiver in without))
        .order_by(DeliveryRow.next_at, DeliveryRow.id)
        .limit(limit)
    )
    with database.read() as session:
        return [DueDelivery(row.id, _receiver(row.url)) for row in session.execute(statement)]


def claim_delivery(
    database: Database, delivery_id: str, *, lease_seconds: float
) -> DeliveryClaim | None:
    """Claim a delivery that is due. Returns None if it is not available."""
    token = uuid.uuid4().hex
    now = now_seconds()
    taken = (
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery_id, _is_due())
        .values(
            lease_token=token,
            lease_until=now + lease_seconds,
            attempts=DeliveryRow.attempts + 1,
        )
        .returning(DeliveryRow.job_id, DeliveryRow.attempts, DeliveryRow.url, DeliveryRow.body)
    )
    with database.begin() as session:
        row = session.execute(taken).one_or_none()
        if row is None:
            return None
        session.execute(
            insert(DeliveryAttemptRow).values(
                delivery_id=delivery_id, attempt=row.attempts, started_at=now
            )
        )
    return DeliveryClaim(delivery_id, row.job_id, token, row.attempts, row.url, row.body)


def record_attempt(
    database: Database, claim: DeliveryClaim, *, status: int | None, error: str | None
) -> bool:
    """Record an attempt; without an `error` the webhook is delivered.

    After a failure it is retried with exponential backoff until the delivery is a day old, and
    then given up. Returns False if the claim is no longer valid; nothing is changed then.
    """
    now = now_seconds()
    with database.begin() as session:
        row = session.execute(
            select(DeliveryRow.created_at, now.label("now"))
            .where(
                DeliveryRow.id == claim.delivery_id,
                DeliveryRow.lease_token == claim.token,
                DeliveryRow.next_at.is_not(None),
            )
            .with_for_update(of=DeliveryRow)
        ).one_or_none()
        if row is None:
            return False
        next_at = None if error is None else row.now + retry_delay_seconds(claim.attempt)
        given_up = next_at is not None and next_at > row.created_at + GIVE_UP_SECONDS
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id == claim.delivery_id)
            .values(
                lease_token=None,
                lease_until=None,
                next_at=None if given_up else next_at,
                delivered_at=row.now if error is None else None,
                given_up_at=row.now if given_up else None,
                last_status=status,
                last_error=error,
            )
        )
        session.execute(
            update(DeliveryAttemptRow)
            .where(
                DeliveryAttemptRow.delivery_id == claim.delivery_id,
                DeliveryAttemptRow.attempt == claim.attempt,
            )
            .values(ended_at=row.now, status=status, error=error)
        )
    return True


def _receiver(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _has_receiver(receiver: str) -> ColumnElement[bool]:
    url = func.lower(DeliveryRow.url)
    below = (url.startswith(receiver + mark, autoescape=True) for mark in "/?#")
    return or_(url == receiver, *below)


def _is_due() -> ColumnElement[bool]:
    now = now_seconds()
    return and_(
        DeliveryRow.next_at <= now,
        or_(DeliveryRow.lease_token.is_(None), DeliveryRow.lease_until < now),
    )
