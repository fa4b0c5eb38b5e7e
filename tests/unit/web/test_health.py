"""GET /healthz."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from faces_jobs.db.session import Database
from tests.unit.web.conftest import MakeApp
from tests.unit.web.problems import assert_problem


def test_a_well_server_says_so_to_anyone(client: FlaskClient, guarded: Flask) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert guarded.test_client().get("/healthz").json == {"status": "ok"}


def test_without_room_it_is_not_well(make_app: MakeApp) -> None:
    response = make_app(min_free_bytes=2**60).test_client().get("/healthz")
    assert_problem(response, 507, "storage-full")


def test_a_database_that_does_not_answer_is_503(client: FlaskClient, database: Database) -> None:
    with database.engine.connect() as connection:
        path = connection.execute(text("PRAGMA database_list")).one()[2]
    database.close()
    database.engine.url.set(database="/nowhere/else.db")
    with open(path, "wb") as file:  # noqa: PTH123 (overwrites in place, as a broken disk would)
        file.write(b"no database" * 1000)
    response = client.get("/api/v1/jobs")
    assert response.status_code in {500, 503}
    assert path not in response.text
