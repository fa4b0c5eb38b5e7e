"""A database that is unreachable, frozen or cut off: what a process does, and how long it waits."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from faces_jobs.db.engine import make_engine
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError
from faces_jobs.queue.producer import JOB_TASK, SEGMENT_TASK, make_app
from faces_jobs.settings import Settings
from faces_jobs.worker.tasks import add_tasks
from tests.integration.harness import Harness
from tests.ports import free_port


@pytest.mark.parametrize(("task", "argument"), [(SEGMENT_TASK, 1), (JOB_TASK, "some")])
def test_a_message_received_without_a_database_is_left_to_the_sweep(
    task: str,
    argument: object,
    harness: Harness,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unreachable = make_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    app = make_app(settings)
    with Database(unreachable) as database, caplog.at_level(logging.WARNING):
        add_tasks(app, replace(harness.worker, database=database))
        app.tasks[task](argument)
    assert "the sweep will ring again: The database does not answer" in caplog.text


def test_an_idle_transaction_times_out_before_a_lease(postgres_database_url: str) -> None:
    engine = make_engine(postgres_database_url)
    with engine.connect() as connection:
        timeout = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    engine.dispose()
    assert timeout == "20s"
    assert float(timeout.removesuffix("s")) < Settings().lease_seconds


def test_a_server_that_vanished_is_noticed_before_a_lease_expires(
    postgres_database_url: str,
) -> None:
    engine = make_engine(postgres_database_url)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        parameters = driver.info.get_parameters()
    engine.dispose()
    seconds = int(parameters["keepalives_idle"]) + int(parameters["keepalives_interval"]) * int(
        parameters["keepalives_count"]
    )
    assert seconds < Settings().lease_seconds
    assert int(parameters["tcp_user_timeout"]) < Settings().lease_seconds * 1000


def test_a_connection_timeout_says_to_try_again(tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with Database(engine) as database, database.read() as session:
        session.execute(text("SELECT 1"))
        with (
            pytest.raises(DatabaseError, match="try again"),
            database.read() as other,
        ):
            other.execute(text("SELECT 1"))
