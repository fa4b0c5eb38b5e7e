"""GET /healthz and GET /readyz."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from flask import Flask
from sqlalchemy import text, update

from faces_jobs.db.processes import Process, ProcessKind, record_heartbeat
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ProcessRow
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.queue.producer import make_app as make_celery_app
from faces_jobs.readiness import Readiness
from faces_jobs_web.services import EXTENSION, Services
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.problems import assert_problem


def test_healthz_needs_no_token(client: WebClient, guarded: Flask) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client_of(guarded).get("/healthz").json == {"status": "ok"}


def test_healthz_is_507_without_free_space(make_app: MakeApp) -> None:
    response = client_of(make_app(min_free_bytes=2**60)).get("/healthz")
    assert_problem(response, 507, "storage-full")


def test_a_missing_database_is_503(client: WebClient, database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    database.close()
    Path(path).unlink()
    for address in ("/healthz", "/api/v1/jobs"):
        response = client.get(address)
        assert_problem(response, 503, "database")
        assert int(response.headers["Retry-After"]) > 0


def record_heartbeats(database: Database, *kinds: ProcessKind) -> None:
    """Record a heartbeat of one process of each kind."""
    for kind in kinds:
        record_heartbeat(database, Process(f"the-{kind}", kind, "here", 1, "1"), {})


def test_the_service_is_ready_when_all_its_parts_are_present(
    app: Flask, database: Database, guarded: Flask
) -> None:
    client = client_of(app)
    detail = assert_problem(client.get("/readyz"), 503, "not-ready", fields={"worker", "sweep"})
    assert detail == "Not ready: worker, sweep. `fields` says what is wrong with each."

    record_heartbeats(database, "web", "worker")
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"sweep"})

    record_heartbeats(database, "sweep")
    assert client.get("/readyz").json == {"status": "ready"}
    assert client_of(guarded).get("/readyz").json == {"status": "ready"}, "no token is needed"


def test_a_worker_without_recent_heartbeats_is_missing(
    client: WebClient, database: Database
) -> None:
    record_heartbeats(database, "worker", "sweep")
    with database.begin() as session:
        session.execute(
            update(ProcessRow)
            .where(ProcessRow.kind == "worker")
            .values(seen_at=ProcessRow.seen_at - 1000)
        )
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"worker"})


def test_the_storage_is_missing_without_free_space(make_app: MakeApp) -> None:
    app = make_app(min_free_bytes=2**60)
    record_heartbeats(app.extensions[EXTENSION].database, "worker", "sweep")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"storage"})


def test_an_unwritable_data_folder_is_a_missing_storage(app: Flask, services: Services) -> None:
    record_heartbeats(services.database, "worker", "sweep")
    work = services.storage.folder / "work"
    services.storage.folder.mkdir(parents=True)
    work.write_text("a file where a folder should be")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"storage"})

    work.unlink()
    assert client_of(app).get("/readyz").status_code == 200


def test_a_deleted_queue_folder_is_a_missing_broker(app: Flask, services: Services) -> None:
    record_heartbeats(services.database, "worker", "sweep")
    shutil.rmtree(services.settings.data_folder / "queue")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"broker"})


def test_a_deleted_database_is_missing(client: WebClient, database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    record_heartbeats(database, "worker", "sweep")
    database.close()
    Path(path).unlink()
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"database"})


def test_a_database_with_another_schema_version_is_missing(
    client: WebClient, database: Database
) -> None:
    record_heartbeats(database, "worker", "sweep")
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"database"})


def test_a_broker_that_hangs_is_missing_and_is_checked_only_once(services: Services) -> None:
    checks = []
    released = threading.Event()

    class Hanging(CeleryQueue):
        def depth(self) -> int:
            checks.append(1)
            released.wait(60)
            return 7

    record_heartbeats(services.database, "worker", "sweep")
    readiness = Readiness(
        settings=services.settings,
        database=services.database,
        storage=services.storage,
        queue=Hanging(make_celery_app(services.settings)),
        timeout_seconds=0.5,
    )
    for _ in range(3):
        assert set(readiness.check().missing) == {"broker"}
    assert checks == [1]

    released.set()
    report = readiness.check()
    while report.missing:  # until the thread of the first check has ended
        report = readiness.check()
    assert report.messages == 7
    assert report.alive == {"worker": 1, "sweep": 1}
