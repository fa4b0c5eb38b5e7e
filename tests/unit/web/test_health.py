"""GET /healthz."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from faces_jobs.db.session import Database
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
