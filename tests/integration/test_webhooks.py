"""Webhooks: recorded with the job's end, signed, retried until delivered, to allowed addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.deliveries import (
    GIVE_UP_SECONDS,
    claim_delivery,
    due_deliveries,
    record_attempt,
)
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryRow, JobRow
from faces_jobs.jobs.documents import DeliveryDocument
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import cancel_job, list_deliveries
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.webhooks import (
    SENDERS,
    SENDERS_PER_RECEIVER,
    background_delivery,
    deliver,
    deliver_due,
)
from tests.factories import claimed, face, results, stored_job
from tests.integration.processes import wait_for
from tests.receivers import Receiver, receiver, respond_with

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def open_settings(settings: Settings, database_url: str) -> Settings:
    """Settings that allow webhooks to this machine."""
    return settings.model_copy(
        update={
            "database_url": database_url,
            "webhook_secret": SecretStr(SECRET),
            "webhook_networks": "127.0.0.1",
            "webhook_ports": "*",
        }
    )


@pytest.fixture
def receiving() -> Iterator[Receiver]:
    """A receiver that accepts everything."""
    with receiver() as opened:
        yield opened


def ended_job(database: Database, url: str, **options: Any) -> str:
    """Store a job that succeeded. Returns its id."""
    job = stored_job(database, spec=JobSpec(webhook=url, **options))
    finish_segment(database, claimed(database, job.segments[0]), results([face()]))
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])
    return job.id


def only_delivery(database: Database, job_id: str) -> DeliveryDocument:
    """Return the only delivery of a job."""
    (delivery,) = list_deliveries(database, job_id).deliveries
    return delivery


def make_due(database: Database) -> None:
    """End every pause and lease."""
    with database.begin() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.next_at.is_not(None))
            .values(next_at=now_seconds() - 1, lease_until=now_seconds() - 1)
        )


def test_the_receiver_gets_a_signed_message_when_a_job_ends(
    database: Database, open_settings: Settings, receiving: Receiver
) -> None:
    job_id = ended_job(database, f"{receiving.url}?from=faces", label="Ärger \U0001f600")

    assert deliver_due(database, open_settings) == 1

    (request,) = receiving.received
    assert request.path == "/hook?from=faces"
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    delivery = only_delivery(database, job_id)
    assert body["id"] == request.headers["webhook-id"] == delivery.id
    assert body["type"] == delivery.event == "job.succeeded"
    assert body["data"]["job_id"] == job_id
    assert body["data"]["label"] == "Ärger \U0001f600"
    assert body["data"]["items_by_status"] == {"succeeded": 1}
    assert body["data"]["error"] is None
    # Computed as the Standard Webhooks specification says, not by the function under test.
    stamp = request.headers["webhook-timestamp"]
    assert abs(int(stamp) - time.time()) < 60
    signed = f"{delivery.id}.{stamp}.".encode() + request.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert (delivery.state, delivery.last_status, delivery.last_error) == ("delivered", 204, None)
    assert [(one.attempt, one.status, one.error) for one in delivery.attempts] == [(1, 204, None)]
    assert deliver_due(database, open_settings) == 0
    assert len(receiving.received) == 1


def test_a_job_without_a_webhook_has_no_delivery(database: Database) -> None:
    job = stored_job(database)
    cancel_job(database, job.id)
    assert list_deliveries(database, job.id).deliveries == []


def test_a_cancel_is_reported_once(
    database: Database, open_settings: Settings, receiving: Receiver
) -> None:
    job = stored_job(database, spec=JobSpec(webhook=receiving.url))
    for _ in range(2):
        cancel_job(database, job.id)
    deliver_due(database, open_settings)
    assert [json.loads(one.body)["type"] for one in receiving.received] == ["job.cancelled"]


def test_an_end_that_is_not_committed_is_not_reported(
    database: Database, receiving: Receiver
) -> None:
    job = stored_job(database, spec=JobSpec(webhook=receiving.url))

    def fail() -> None:
        with database.begin() as session:
            from faces_jobs.db.jobs.changes import cancel_job as cancel_rows  # noqa: PLC0415

            cancel_rows(session, job.id)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list_deliveries(database, job.id).deliveries == []


def until_released(hanging: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a handler that sends nothing until the receiver is released."""

    def wait(_handler: BaseHTTPRequestHandler) -> None:
        hanging.released.wait(60)

    return wait


def drip(handler: BaseHTTPRequestHandler) -> None:
    """Send one byte at a time without end, each well within the timeout of a single read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        handler.wfile.write(b"a")
        time.sleep(0.05)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """Send far more than a sender should read."""
    handler.send_response(200)
    handler.end_headers()
    sent = 0
    try:
        while sent < 1 << 30:
            sent += handler.wfile.write(b"x" * 65536)
    finally:
        handler.server.sent = sent  # type: ignore[attr-defined]  # for a debugger


@pytest.mark.parametrize(
    ("respond", "status", "message"),
    [
        (respond_with(500, b"secret of the receiver"), 500, "answered 500"),
        (respond_with(404), 404, "answered 404"),
        (respond_with(301, Location="http://127.0.0.1:1/"), 301, "redirects are not followed"),
        (respond_with(307, Location="http://169.254.169.254/"), 307, "redirects are not followed"),
        (lambda handler: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), None, "does not speak HTTP"),
        (lambda _handler: None, None, "the connection broke"),
        (drip, None, "no response within 1 s"),
    ],
    ids=["500", "404", "301", "307", "no http", "closed", "drip"],
)
def test_a_failed_delivery_is_retried_under_the_same_id(
    database: Database,
    open_settings: Settings,
    respond: Callable[[BaseHTTPRequestHandler], None],
    status: int | None,
    message: str,
) -> None:
    short_timeout = open_settings.model_copy(update={"webhook_seconds": 1.0})
    with receiver(respond) as receiving:
        job_id = ended_job(database, receiving.url)
        assert deliver_due(database, short_timeout) == 0

        waiting = only_delivery(database, job_id)
        assert waiting.state == "waiting"
        assert waiting.last_status == status
        assert waiting.last_error is not None
        assert message in waiting.last_error
        assert "secret" not in waiting.model_dump_json()
        assert waiting.next_at is not None
        assert due_deliveries(database, limit=10) == [], "a pause comes before the next attempt"

        receiving.respond = respond_with(200, b"well" * 10_000)
        make_due(database)
        assert deliver_due(database, short_timeout) == 1

        assert receiving.ids == [waiting.id, waiting.id]
    delivered = only_delivery(database, job_id)
    assert delivered.state == "delivered"
    assert [one.attempt for one in delivered.attempts] == [1, 2]
    assert all(one.ended_at is not None for one in delivered.attempts)
    assert all(one.body == receiving.received[0].body for one in receiving.received)


def test_a_long_response_is_not_read_to_the_end(
    database: Database, open_settings: Settings
) -> None:
    with receiver(flood) as receiving:
        job_id = ended_job(database, receiving.url)
        assert deliver_due(database, open_settings) == 1
    assert only_delivery(database, job_id).state == "delivered"


def test_a_hanging_receiver_does_not_delay_others(
    database: Database, open_settings: Settings, receiving: Receiver
) -> None:
    with receiver() as hanging:
        hanging.respond = until_released(hanging)
        slow = ended_job(database, hanging.url)
        with background_delivery(database, open_settings):
            assert hanging.arrived.wait(30)
            quick = ended_job(database, receiving.url)
            assert receiving.arrived.wait(30)
            assert only_delivery(database, slow).state == "waiting"
            hanging.released.set()
    assert only_delivery(database, quick).state == "delivered"


def test_many_deliveries_to_a_hanging_receiver_do_not_delay_others(
    database: Database, open_settings: Settings, receiving: Receiver
) -> None:
    long_timeout = open_settings.model_copy(update={"webhook_seconds": 3600.0})
    with receiver() as hanging:
        hanging.respond = until_released(hanging)
        for _ in range(SENDERS * 2):
            ended_job(database, hanging.url)
        quick = ended_job(database, receiving.url)
        with background_delivery(database, long_timeout):
            assert receiving.arrived.wait(30)
            assert hanging.arrived.wait(30)
            assert len(hanging.received) <= SENDERS_PER_RECEIVER
            hanging.respond = respond_with(204)
            hanging.released.set()
            wait_for(lambda: due_deliveries(database, limit=1) == [])
    assert only_delivery(database, quick).state == "delivered"
    assert len(set(hanging.ids)) == SENDERS * 2


def test_busy_receivers_are_skipped_however_their_urls_are_written(
    database: Database,
) -> None:
    paths = ("", "/", "?a=b", "/x/y", "/x?u=https://a_b.example/")
    busy = [ended_job(database, f"https://A_b.example{path}") for path in paths]
    others = (
        "https://a_b.example:444/",
        "http://a_b.example/",
        "https://axb.example/",
        "https://a_b.example.org/",
        "https://other.example/https://a_b.example/",
    )
    for url in others:
        ended_job(database, url)
    due = due_deliveries(database, limit=100)
    assert len(due) == len(busy) + len(others)
    assert [one.receiver for one in due].count("https://a_b.example") == len(busy)
    left = due_deliveries(database, limit=100, without=["https://a_b.example"])
    assert {one.id for one in left} == {
        one.id for one in due if one.receiver != "https://a_b.example"
    }
    assert len(left) == len(others)


@pytest.mark.parametrize(
    ("settings_changes", "message"),
    [
        ({"webhook_networks": ""}, "not public"),
        ({"webhook_networks": "10.0.0.0/8"}, "not public"),
        ({"webhook_ports": "80,443"}, "port"),
        ({"webhook_secret": None}, "FACES_JOBS_WEBHOOK_SECRET"),
    ],
)
def test_nothing_is_sent_to_addresses_that_the_settings_forbid(
    database: Database,
    open_settings: Settings,
    receiving: Receiver,
    settings_changes: dict[str, str | None],
    message: str,
) -> None:
    job_id = ended_job(database, receiving.url.replace("127.0.0.1", "localhost"))
    strict = open_settings.model_copy(update=settings_changes)

    assert deliver_due(database, strict) == 0

    assert receiving.received == []
    error = only_delivery(database, job_id).last_error
    assert error is not None
    assert message in error


def test_a_delivery_is_given_up_after_a_day(database: Database, open_settings: Settings) -> None:
    with receiver(respond_with(503)) as receiving:
        job_id = ended_job(database, receiving.url)
        with database.begin() as session:
            session.execute(
                update(DeliveryRow).values(created_at=now_seconds() - GIVE_UP_SECONDS - 1)
            )
        deliver_due(database, open_settings)
        make_due(database)
        deliver_due(database, open_settings)
    given_up = only_delivery(database, job_id)
    assert (given_up.state, given_up.next_at, len(given_up.attempts)) == ("given_up", None, 1)
    assert given_up.given_up_at is not None


def test_a_delivery_has_one_sender_and_late_results_are_ignored(
    database: Database,
) -> None:
    job_id = ended_job(database, "http://example.org/")
    (delivery_id,) = (one.id for one in due_deliveries(database, limit=10))
    first = claim_delivery(database, delivery_id, lease_seconds=60)
    assert first is not None
    assert claim_delivery(database, delivery_id, lease_seconds=60) is None
    make_due(database)
    second = claim_delivery(database, delivery_id, lease_seconds=60)
    assert second is not None

    assert not record_attempt(database, first, status=None, error="late")
    assert record_attempt(database, second, status=200, error=None)
    assert not record_attempt(database, second, status=None, error="again")

    document = only_delivery(database, job_id)
    assert document.state == "delivered"
    assert [one.ended_at is None for one in document.attempts] == [True, False]


# Makes one attempt at a delivery in a process of its own.
SENDER = """
import sys
from pydantic import SecretStr
from faces_jobs.db.session import open_database
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.webhooks import deliver
url, delivery_id, secret = sys.argv[1:]
settings = Settings(webhook_secret=SecretStr(secret), webhook_networks="127.0.0.1",
                    webhook_ports="*", webhook_seconds=50)
with open_database(url) as database:
    deliver(delivery_id, database, settings)
"""


def test_the_delivery_of_a_killed_sender_is_sent_again_under_the_same_id(
    database: Database, database_url: str, open_settings: Settings
) -> None:
    with receiver() as receiving:
        receiving.respond = until_released(receiving)
        job_id = ended_job(database, receiving.url)
        (delivery_id,) = (one.id for one in due_deliveries(database, limit=10))
        sender = subprocess.Popen([sys.executable, "-c", SENDER, database_url, delivery_id, SECRET])
        assert receiving.arrived.wait(60)
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        assert not deliver(delivery_id, database, open_settings), (
            "the killed sender still holds the lease"
        )
        receiving.respond = respond_with(200)
        make_due(database)

        assert deliver_due(database, open_settings) == 1
        assert deliver_due(database, open_settings) == 0

        assert receiving.ids == [delivery_id, delivery_id]
    document = only_delivery(database, job_id)
    assert document.state == "delivered"
    assert [one.ended_at is None for one in document.attempts] == [True, False]


def test_each_end_of_a_job_is_reported(
    database: Database, open_settings: Settings, receiving: Receiver
) -> None:
    job_id = ended_job(database, receiving.url)
    with database.begin() as session:  # as a retry does
        session.execute(update(JobRow).values(status="finishing", ended_at=None))
    claim = claim_job(database, job_id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])

    assert deliver_due(database, open_settings) == 2

    assert len(set(receiving.ids)) == 2
    first = list_deliveries(database, job_id, limit=1)
    second = list_deliveries(database, job_id, cursor=first.next_cursor, limit=1)
    assert {first.deliveries[0].id, second.deliveries[0].id} == set(receiving.ids)
