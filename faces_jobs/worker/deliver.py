"""Sends the webhooks that are due, several at once, few of them to one receiver.

So one that is slow delays its own; all the others only if there are as many such as there are
senders for.
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
SENDERS_A_RECEIVER = 2
LOOK_SECONDS = 1.0
# Between two looks at a database that is away: each writes a line to the log.
AWAY_SECONDS = 10.0
# So much longer than the time to answer that a lease runs out only where its sender has died.
LEASE_FACTOR = 3.0

_log = logging.getLogger(__name__)


def deliver(delivery_id: str, database: Database, settings: Settings) -> bool:
    """Send one delivery, if it is to be had, and record what came of it. True: it arrived.

    Raises:
        DatabaseError, StorageFullError: nothing was recorded; it is sent again, under the same
            id, when the lease has run out.
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
        arrived += sum(deliver(one.id, database, settings) for one in due)
    return arrived


@contextmanager
def delivering(database: Database, settings: Settings) -> Iterator[None]:
    """Send what is due for as long as the block lasts, beside it.

    What is being sent when the block ends is finished first; that takes a receiver's time at most.
    """
    stop, awake = threading.Event(), threading.Event()
    thread = threading.Thread(
        target=_loop, args=(database, settings, stop, awake), name="webhooks", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        awake.set()
        thread.join()


def signature(key: bytes, *, delivery_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header, as the Standard Webhooks specification has it.

    HMAC-SHA256 over id, time of sending and body, with dots between.
    """
    signed = b".".join((delivery_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def _send(claim: DeliveryClaim, settings: Settings) -> tuple[int | None, str | None]:
    """The status that was answered, and what is wrong: None when all is well."""
    key = settings.webhook_key
    if key is None:
        return None, "the sweep has no FACES_JOBS_WEBHOOK_SECRET to sign it with"
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
    database: Database, settings: Settings, stop: threading.Event, awake: threading.Event
) -> None:
    def look_on(sent: Future[bool]) -> None:
        if sent.result():  # else the same would be due again at once, and fail again
            awake.set()

    sending: dict[DueDelivery, Future[bool]] = {}
    with ThreadPoolExecutor(SENDERS, thread_name_prefix="webhook") as senders:
        while not stop.is_set():
            sending = {one: future for one, future in sending.items() if not future.done()}
            pause = LOOK_SECONDS
            try:
                begun = _next(database, sending)
            except (DatabaseError, StorageFullError) as error:
                _log.warning("webhooks wait: %s", error)
                begun, pause = [], AWAY_SECONDS
            for one in begun:
                sending[one] = senders.submit(_one, one.id, database, settings)
                sending[one].add_done_callback(look_on)
            awake.wait(pause)
            awake.clear()


def _next(database: Database, sending: Collection[DueDelivery]) -> list[DueDelivery]:
    """What senders that are free may begin with, without too many at one receiver.

    Raises:
        DatabaseError, StorageFullError: nothing was begun.
    """
    begun = list(sending)
    while len(begun) < SENDERS:
        at = Counter(one.receiver for one in begun)
        busy = [receiver for receiver, count in at.items() if count >= SENDERS_A_RECEIVER]
        # So many that one is new: what is begun may not be claimed yet.
        looked = due_deliveries(database, limit=SENDERS, without=busy)
        due = [one for one in looked if one not in begun]
        if not due:
            break
        for one in due:
            if len(begun) < SENDERS and at[one.receiver] < SENDERS_A_RECEIVER:
                at[one.receiver] += 1
                begun.append(one)
    return begun[len(sending) :]


def _one(delivery_id: str, database: Database, settings: Settings) -> bool:
    """Send one delivery. True: what came of it is recorded."""
    try:
        deliver(delivery_id, database, settings)
    except (DatabaseError, StorageFullError) as error:
        _log.warning("webhook %s is sent again when its lease runs out: %s", delivery_id, error)
    except Exception:  # noqa: BLE001 (the last boundary: the attempt stands in the rows, unfinished)
        _log.exception("webhook %s", delivery_id)
    else:
        return True
    return False
