"""A database that is away, frozen or cut off: what a process does, and how long it waits."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from faces_jobs.db.engine import make_engine
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError
from faces_jobs.queue import JOB_TASK, SEGMENT_TASK, make_app
from faces_jobs.settings import Settings
from faces_jobs.worker.tasks import add_tasks
from tests.integration.workbench import Bench
from tests.ports import free_port


@pytest.mark.parametrize(("task", "argument"), [(SEGMENT_TASK, 1), (JOB_TASK, "some")])
def test_a_bell_without_a_database_is_left_to_the_sweep(
    task: str, argument: object, bench: Bench, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = make_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    app = make_app(settings)
    with Database(nowhere) as database, caplog.at_level(logging.WARNING):
        add_tasks(app, replace(bench.worker, database=database))
        app.tasks[task](argument)
    assert "the sweep will ring again: The database does not answer" in caplog.text


def test_a_frozen_transaction_ends_before_a_lease_does(postgres_database_url: str) -> None:
    engine = make_engine(postgres_database_url)
    with engine.connect() as connection:
        shown = connection.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one()
    engine.dispose()
    assert shown == "20s"
    assert float(shown.removesuffix("s")) < Settings().lease_seconds


def test_a_server_that_vanished_is_noticed_while_it_is_waited_for(
    postgres_database_url: str,
) -> None:
    engine = make_engine(postgres_database_url)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        given = driver.info.get_parameters()
    engine.dispose()
    seconds = int(given["keepalives_idle"]) + int(given["keepalives_interval"]) * int(
        given["keepalives_count"]
    )
    assert seconds < Settings().lease_seconds
    assert int(given["tcp_user_timeout"]) < Settings().lease_seconds * 1000


def test_who_gets_no_connection_in_time_is_told_to_try_again(tmp_path: Path) -> None:
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
