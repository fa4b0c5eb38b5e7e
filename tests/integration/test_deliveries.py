"""Deliveries of webhooks: one sender each, past receivers that hang, until they are given up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from sqlalchemy import update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.deliveries import (
    GIVE_UP_SECONDS,
    claim_delivery,
    due_deliveries,
    record_attempt,
)
from faces_jobs.db.session import Database
from faces_jobs.db.tables import DeliveryRow
from faces_jobs.settings import Settings
from faces_jobs.worker.maintenance.webhooks import (
    SENDERS,
    SENDERS_PER_RECEIVER,
    background_delivery,
    deliver,
    deliver_due,
)
from tests.integration.ended_jobs import WEBHOOK_SECRET, ended_job, make_due, only_delivery
from tests.integration.processes import wait_for
from tests.receivers import Receiver, receiver, respond_with


def until_released(hanging: Receiver) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return a handler that sends nothing until the receiver is released."""

    def wait(_handler: BaseHTTPRequestHandler) -> None:
        hanging.released.wait(60)

    return wait


def test_a_hanging_receiver_does_not_delay_others(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    with receiver() as hanging:
        hanging.respond = until_released(hanging)
        slow = ended_job(database, hanging.url)
        with background_delivery(database, webhook_settings):
            assert hanging.arrived.wait(30)
            quick = ended_job(database, receiving.url)
            assert receiving.arrived.wait(30)
            assert only_delivery(database, slow).state == "waiting"
            hanging.released.set()
    assert only_delivery(database, quick).state == "delivered"


def test_many_deliveries_to_a_hanging_receiver_do_not_delay_others(
    database: Database, webhook_settings: Settings, receiving: Receiver
) -> None:
    long_timeout = webhook_settings.model_copy(update={"webhook_seconds": 3600.0})
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
    paths = ("", "/", "#", "?a=b", "/x/y", "/x?u=https://a_b.example/")
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


def test_a_delivery_is_given_up_after_a_day(database: Database, webhook_settings: Settings) -> None:
    with receiver(respond_with(503)) as receiving:
        job_id = ended_job(database, receiving.url)
        with database.begin() as session:
            session.execute(
                update(DeliveryRow).values(created_at=now_seconds() - GIVE_UP_SECONDS - 1)
            )
        deliver_due(database, webhook_settings)
        make_due(database)
        deliver_due(database, webhook_settings)
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
    database: Database, database_url: str, webhook_settings: Settings
) -> None:
    with receiver() as receiving:
        receiving.respond = until_released(receiving)
        job_id = ended_job(database, receiving.url)
        (delivery_id,) = (one.id for one in due_deliveries(database, limit=10))
        sender = subprocess.Popen(
            [sys.executable, "-c", SENDER, database_url, delivery_id, WEBHOOK_SECRET]
        )
        assert receiving.arrived.wait(60)
        os.kill(sender.pid, signal.SIGKILL)
        sender.wait()
        assert not deliver(delivery_id, database, webhook_settings), (
            "the killed sender still holds the lease"
        )
        receiving.respond = respond_with(200)
        make_due(database)

        assert deliver_due(database, webhook_settings) == 1
        assert deliver_due(database, webhook_settings) == 0

        assert receiving.ids == [delivery_id, delivery_id]
    document = only_delivery(database, job_id)
    assert document.state == "delivered"
    assert [one.ended_at is None for one in document.attempts] == [True, False]
