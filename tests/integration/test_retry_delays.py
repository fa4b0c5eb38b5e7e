"""Delays between attempts at webhooks and deletions, in Python and in SQL."""

from __future__ import annotations

from sqlalchemy import literal, select

from faces_jobs.db.deliveries import GIVE_UP_SECONDS
from faces_jobs.db.retry_delays import retry_delay_after, retry_delay_seconds
from faces_jobs.db.session import Database


def test_pauses_grow_to_an_hour_and_a_day_allows_32_attempts() -> None:
    pauses = [retry_delay_seconds(attempt) for attempt in range(1, 100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], max(pauses)) == (10, 3600)
    spent, attempts = 0.0, 1
    while spent + pauses[attempts - 1] <= GIVE_UP_SECONDS:
        spent += pauses[attempts - 1]
        attempts += 1
    assert attempts == 32


def test_pauses_computed_in_sql_are_the_same(database: Database) -> None:
    with database.read() as session:
        pauses = [
            session.scalar(select(retry_delay_after(literal(before)))) for before in range(15)
        ]
    assert pauses == [retry_delay_seconds(before + 1) for before in range(15)]
