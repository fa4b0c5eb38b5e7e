"""Sends due webhooks, several at once, but only a few at once to the same receiver.

So a slow receiver delays its own webhooks; others are delayed only if so many receivers are slow
that they occupy all senders.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from faces_jobs.db.deliveries import (
    DeliveryClaim,
    DueDelivery,
    claim_delivery,
    due_deliveries,
    record_attempt,
)
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError, StorageFullError, WebhookError
from faces_jobs.logs import log_context
from faces_jobs.outbound import AddressPolicy, post
from faces_jobs.settings import Settings

SENDERS = 8
SENDERS_PER_RECEIVER = 2
POLL_SECONDS = 1.0
DATABASE_RETRY_SECONDS = 10.0  # each failure writes a line to the log
# Times the request timeout: so long that a lease runs out only if its sender has died.
LEASE_FACTOR = 3.0

_log = logging.getLogger(__name__)


def deliver(delivery_id: str, database: Database, settings: Settings) -> bool:
    """Send one delivery, if it is available, and record the outcome. True: it arrived.

    Raises:
        DatabaseError, StorageFullError: nothing was recorded; the delivery is sent again, with
            the same id, when the lease has run out.
    """
    claim = claim_delivery(
        database, delivery_id, lease_seconds=settings.webhook_seconds * LEASE_FACTOR
    )
    if claim is None:
        return False
    with log_context(job=claim.job_id):
        status, error = _send(claim, settings)
        if not record_attempt(database, claim, status=status, error=error):
            _log.warning("webhook %s was taken over by another sender", delivery_id)
        elif error is None:
            _log.info("webhook %s arrived at attempt %d", delivery_id, claim.attempt)
        else:
            _log.warning("webhook %s, attempt %d: %s", delivery_id, claim.attempt, error)
    return error is None


def deliver_due(database: Database, settings: Settings) -> int:
    """Send all that is due, one by one. Returns how many arrived.

    Raises:
        DatabaseError, StorageFullError: see `deliver`.
    """
    arrived = 0
    while due := due_deliveries(database, limit=SENDERS):
        arrived += sum(deliver(delivery.id, database, settings) for delivery in due)
    return arrived


@contextmanager
def background_delivery(database: Database, settings: Settings) -> Iterator[None]:
    """Send due webhooks in the background while the block runs.

    Requests that are open when the block ends are finished first, which takes at most as long as
    the request timeout.
    """
    stop, wake = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=_loop, args=(database, settings, stop, wake), name="webhooks", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        wake.set()
        thread.join()


def signature(key: bytes, *, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header of the Standard Webhooks specification.

    HMAC-SHA256 over the id, the time of sending and the body, joined by dots.
    """
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _send(claim: DeliveryClaim, settings: Settings) -> tuple[int | None, str | None]:
    """Returns the response's status, if there was one, and the error, if there was one."""
    key = settings.webhook_key
    if key is None:
        return None, "the sweep can't sign it: FACES_JOBS_WEBHOOK_SECRET is not set"
    body = claim.body.encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": claim.delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(
            key, delivery_id=claim.delivery_id, timestamp=timestamp, body=body
        ),
    }
    try:
        status = post(
            claim.url,
            body,
            headers,
            policy=AddressPolicy.from_settings(settings),
            timeout_seconds=settings.webhook_seconds,
        )
    except WebhookError as error:
        return None, str(error)
    if 200 <= status < 300:
        return status, None
    if 300 <= status < 400:
        return status, f"answered {status}: redirects are not followed"
    return status, f"answered {status}"


def _loop(
    database: Database, settings: Settings, stop: threading.Event, wake: threading.Event
) -> None:
    def wake_after(sent: Future[bool]) -> None:
        if sent.result():  # otherwise the same delivery may be due again at once, and fail again
            wake.set()

    sending: dict[DueDelivery, Future[bool]] = {}
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as senders:
        while not stop.is_set():
            sending = {due: future for due, future in sending.items() if not future.done()}
            pause = POLL_SECONDS
            try:
                to_send = _next_deliveries(database, sending)
            except (DatabaseError, StorageFullError) as error:
                _log.warning("due webhooks can't be read, trying again: %s", error)
                to_send, pause = [], DATABASE_RETRY_SECONDS
            for due in to_send:
                sending[due] = senders.submit(_deliver_logged, due.id, database, settings)
                sending[due].add_done_callback(wake_after)
            wake.wait(pause)
            wake.clear()


def _next_deliveries(database: Database, sending: Collection[DueDelivery]) -> list[DueDelivery]:
    """The due deliveries for the free senders, within the limit for each receiver.

    Raises:
        DatabaseError, StorageFullError: the database could not be read.
    """
    chosen = list(sending)
    while len(chosen) < SENDERS:
        counts = Counter(delivery.receiver for delivery in chosen)
        busy = [receiver for receiver, count in counts.items() if count >= SENDERS_PER_RECEIVER]
        # As many as there are senders, so that at least one is new: those that are being sent may
        # not be claimed yet.
        found = due_deliveries(database, limit=SENDERS, without=busy)
        new = [one for one in found if one not in chosen and one.receiver not in busy]
        if not new:
            break
        for delivery in new:
            if len(chosen) < SENDERS and counts[delivery.receiver] < SENDERS_PER_RECEIVER:
                counts[delivery.receiver] += 1
                chosen.append(delivery)
    return chosen[len(sending) :]


def _deliver_logged(delivery_id: str, database: Database, settings: Settings) -> bool:
    """Send one delivery, and log errors. True: the outcome is recorded."""
    try:
        deliver(delivery_id, database, settings)
    except (DatabaseError, StorageFullError) as error:
        _log.warning("webhook %s is sent again when its lease runs out: %s", delivery_id, error)
    except Exception:  # noqa: BLE001 (outermost handler: the attempt stays unfinished in the rows)
        _log.exception("webhook %s failed", delivery_id)
    else:
        return True
    return False
