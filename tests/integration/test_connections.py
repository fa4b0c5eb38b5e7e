"""A database that is unreachable, frozen or cut off: what a process does, and how long it waits."""

from __future__ import annotations

import logging
import threading
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


def test_threads_that_wait_to_write_leave_their_connections_to_readers(tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path / 'a.db'}", pool_size=2, max_overflow=0, pool_timeout=0.01
    )
    with Database(engine) as database:
        waiting = [threading.Thread(target=_write, args=(database,)) for _ in range(3)]
        with database.begin() as session:
            session.execute(text("CREATE TABLE written (number INTEGER)"))
            for thread in waiting:
                thread.start()
                thread.join(0.02)
            with database.read() as other:
                assert other.execute(text("SELECT 1")).scalar_one() == 1
        for thread in waiting:
            thread.join()
        with database.read() as session:
            assert session.execute(text("SELECT count(*) FROM written")).scalar_one() == 3


def test_a_thread_does_not_wait_forever_for_another_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.db.session.SQLITE_BUSY_TIMEOUT_SECONDS", 0.01)
    with Database(create_engine(f"sqlite:///{tmp_path / 'a.db'}")) as database:
        with (
            database.begin(),
            pytest.raises(DatabaseError, match=r"stayed locked.*again"),
            database.begin(),
        ):
            pass
        with database.begin() as session:  # the turn was given back
            session.execute(text("SELECT 1"))


def _write(database: Database) -> None:
    with database.begin() as session:
        session.execute(text("INSERT INTO written VALUES (1)"))
