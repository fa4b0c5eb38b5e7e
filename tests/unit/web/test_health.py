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
from faces_jobs.queue import CeleryQueue
from faces_jobs.queue import make_app as make_app_of_celery
from faces_jobs.readiness import Readiness
from faces_jobs_web.services import EXTENSION, Services
from tests.unit.web.conforming import WebClient, client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.problems import assert_problem


def test_a_well_server_says_so_to_anyone(client: WebClient, guarded: Flask) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client_of(guarded).get("/healthz").json == {"status": "ok"}


def test_without_room_it_is_not_well(make_app: MakeApp) -> None:
    response = client_of(make_app(min_free_bytes=2**60)).get("/healthz")
    assert_problem(response, 507, "storage-full")


def test_a_database_that_is_gone_is_503(client: WebClient, database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    database.close()
    Path(path).unlink()
    for address in ("/healthz", "/api/v1/jobs"):
        response = client.get(address)
        assert_problem(response, 503, "database")
        assert int(response.headers["Retry-After"]) > 0


def tell(database: Database, *kinds: ProcessKind) -> None:
    """Let processes of these kinds say that they live."""
    for kind in kinds:
        record_heartbeat(database, Process(f"the-{kind}", kind, "here", 1, "1"), {})


def test_the_service_is_ready_when_all_its_parts_are_there(
    app: Flask, database: Database, guarded: Flask
) -> None:
    client = client_of(app)
    detail = assert_problem(client.get("/readyz"), 503, "not-ready", fields={"worker", "sweep"})
    assert detail == "Not ready: worker, sweep. `fields` says what is wrong with each."

    tell(database, "web", "worker")
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"sweep"})

    tell(database, "sweep")
    assert client.get("/readyz").json == {"status": "ready"}
    assert client_of(guarded).get("/readyz").json == {"status": "ready"}, "it needs no token"


def test_a_worker_that_fell_silent_is_missing(client: WebClient, database: Database) -> None:
    tell(database, "worker", "sweep")
    with database.begin() as session:
        session.execute(
            update(ProcessRow)
            .where(ProcessRow.kind == "worker")
            .values(seen_at=ProcessRow.seen_at - 1000)
        )
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"worker"})


def test_without_room_the_storage_is_missing(make_app: MakeApp) -> None:
    app = make_app(min_free_bytes=2**60)
    tell(app.extensions[EXTENSION].database, "worker", "sweep")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"storage"})


def test_a_data_folder_that_can_t_be_written_to_is_missing(app: Flask, services: Services) -> None:
    tell(services.database, "worker", "sweep")
    work = services.storage.folder / "work"
    services.storage.folder.mkdir(parents=True)
    work.write_text("a file where a folder should be")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"storage"})

    work.unlink()
    assert client_of(app).get("/readyz").status_code == 200


def test_a_queue_folder_that_is_gone_is_missing(app: Flask, services: Services) -> None:
    tell(services.database, "worker", "sweep")
    shutil.rmtree(services.settings.data_folder / "queue")
    assert_problem(client_of(app).get("/readyz"), 503, "not-ready", fields={"broker"})


def test_a_database_that_is_gone_is_missing(client: WebClient, database: Database) -> None:
    path = database.engine.url.database
    assert path is not None
    tell(database, "worker", "sweep")
    database.close()
    Path(path).unlink()
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"database"})


def test_a_database_of_another_version_is_missing(client: WebClient, database: Database) -> None:
    tell(database, "worker", "sweep")
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert_problem(client.get("/readyz"), 503, "not-ready", fields={"database"})


def test_what_hangs_is_missing_and_asked_only_once(services: Services) -> None:
    asked = []
    released = threading.Event()

    class Hanging(CeleryQueue):
        def depth(self) -> int:
            asked.append(1)
            released.wait(60)
            return 7

    tell(services.database, "worker", "sweep")
    readiness = Readiness(
        settings=services.settings,
        database=services.database,
        storage=services.storage,
        queue=Hanging(make_app_of_celery(services.settings)),
        timeout_seconds=0.5,
    )
    for _ in range(3):
        assert set(readiness.check().missing) == {"broker"}
    assert asked == [1]

    released.set()
    report = readiness.check()
    while report.missing:  # until the thread that hung has ended
        report = readiness.check()
    assert report.messages == 7
    assert report.alive == {"worker": 1, "sweep": 1}
