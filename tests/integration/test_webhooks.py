"""Webhooks: recorded with the job's end, signed, retried until delivered, to allowed addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
from sqlalchemy import update

from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.deliveries import due_deliveries
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import cancel_job, list_deliveries
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.sweep import run_sweep
from faces_jobs.worker.maintenance.webhooks import deliver_due
from tests.factories import stored_job
from tests.integration.ended_jobs import WEBHOOK_KEY, ended_job, make_due, only_delivery
from tests.receivers import Receiver, receiver, respond_with


def test_the_receiver_gets_a_signed_message_when_a_job_ends(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    job_id = ended_job(database, f"{receiving.url}?from=faces", label="Ärger \U0001f600")

    assert deliver_due(database, webhook_settings) == 1

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
    expected = base64.b64encode(hmac.new(WEBHOOK_KEY, signed, hashlib.sha256).digest()).decode()
    assert request.headers["webhook-signature"] == f"v1,{expected}"
    assert (delivery.state, delivery.last_status, delivery.last_error) == ("delivered", 204, None)
    assert [(one.attempt, one.status, one.error) for one in delivery.attempts] == [(1, 204, None)]
    assert deliver_due(database, webhook_settings) == 0
    assert len(receiving.received) == 1


def test_a_single_sweep_sends_what_is_due(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    job_id = ended_job(database, receiving.url)
    run_sweep(webhook_settings, once=True)
    assert only_delivery(database, job_id).state == "delivered"


def test_a_job_without_a_webhook_has_no_delivery(database: Database) -> None:
    job = stored_job(database)
    cancel_job(database, job.id)
    assert list_deliveries(database, job.id).deliveries == []


def test_a_cancel_is_reported_once(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    job = stored_job(database, spec=JobSpec(webhook=receiving.url))
    for _ in range(2):
        cancel_job(database, job.id)
    deliver_due(database, webhook_settings)
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
    webhook_settings: Settings,
    respond: Callable[[BaseHTTPRequestHandler], None],
    status: int | None,
    message: str,
) -> None:
    short_timeout = webhook_settings.model_copy(update={"webhook_seconds": 1.0})
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
    database: Database, webhook_settings: Settings
) -> None:
    with receiver(flood) as receiving:
        job_id = ended_job(database, receiving.url)
        assert deliver_due(database, webhook_settings) == 1
    assert only_delivery(database, job_id).state == "delivered"


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
    webhook_settings: Settings,
    receiving: Receiver,
    settings_changes: dict[str, str | None],
    message: str,
) -> None:
    job_id = ended_job(database, receiving.url.replace("127.0.0.1", "localhost"))
    strict = webhook_settings.model_copy(update=settings_changes)

    assert deliver_due(database, strict) == 0

    assert receiving.received == []
    error = only_delivery(database, job_id).last_error
    assert error is not None
    assert message in error


def test_an_outcome_is_recorded_for_its_own_delivery_only(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    with receiver(respond_with(500)) as failing:
        jobs = [ended_job(database, url) for url in (failing.url, receiving.url, failing.url)]
        assert deliver_due(database, webhook_settings) == 1

    attempts = [only_delivery(database, job_id).attempts for job_id in jobs]
    assert [[one.status for one in each] for each in attempts] == [[500], [204], [500]]


def test_each_end_of_a_job_is_reported(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    job_id = ended_job(database, receiving.url)
    with database.begin() as session:  # as a retry does
        session.execute(update(JobRow).values(status="finishing", ended_at=None))
    claim = claim_job(database, job_id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])

    assert deliver_due(database, webhook_settings) == 2

    assert len(set(receiving.ids)) == 2
    first = list_deliveries(database, job_id, limit=1)
    second = list_deliveries(database, job_id, cursor=first.next_cursor, limit=1)
    assert {first.deliveries[0].id, second.deliveries[0].id} == set(receiving.ids)
