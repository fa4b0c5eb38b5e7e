"""Web addresses with values that a database can't hold are answered without a server error."""

from __future__ import annotations

import pytest
from flask import Flask

from faces_jobs.db.session import Database
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results.pages import encode_cursor
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs_web.app import create_app
from tests.factories import stored_job
from tests.unit.web.conforming import WebClient, client_of

HUGE, LARGE = 10**20, 2**63 - 1


@pytest.fixture
def app(settings: Settings, database: Database, storage: LocalStorage, queue: CeleryQueue) -> Flask:
    app = create_app(settings=settings, database=database, storage=storage, queue=queue)
    app.test_client_class = WebClient
    return app


@pytest.mark.parametrize(
    ("address", "status"),
    [
        (f"/jobs/JOB/items/{HUGE}", 404),
        (f"/jobs/JOB/items/{LARGE}", 404),
        (f"/api/v1/jobs/JOB/artifacts/{HUGE}", 404),
        (f"/api/v1/jobs/JOB/artifacts/{LARGE}", 404),
        ("/api/v1/jobs?label=a%00b", 422),
        ("/jobs?label=%00", 422),
        ("/api/v1/jobs/JOB/artifacts?kind=%00", 422),
        ("/jobs/JOB/files?kind=%00", 422),
        ("/api/v1/audit?job=%00", 422),
        (f"/api/v1/jobs/JOB/faces?item=1&track={LARGE}", 422),
        (f"/api/v1/jobs/JOB/faces?item={LARGE}&track={2**31 - 1}", 200),
        (f"/api/v1/jobs/JOB/faces?item={HUGE}", 422),
        (f"/api/v1/jobs/JOB/items?cursor={encode_cursor([LARGE])}", 422),
        (f"/api/v1/jobs/JOB/items?cursor={encode_cursor([2**31 - 1])}", 200),
        (f"/api/v1/jobs/JOB/tracks?cursor={encode_cursor([LARGE, LARGE])}", 422),
        (f"/api/v1/jobs/JOB/faces?cursor={encode_cursor([LARGE, 0.0, LARGE, LARGE])}", 422),
        (f"/api/v1/jobs/JOB/faces?cursor={encode_cursor([LARGE, 0.0, LARGE, 0])}", 200),
        (f"/api/v1/jobs/JOB/artifacts?cursor={encode_cursor([LARGE])}", 200),
        (f"/api/v1/audit?cursor={encode_cursor([LARGE])}", 200),
    ],
)
def test_values_that_no_row_can_hold_cause_no_server_error(
    app: Flask, database: Database, address: str, status: int
) -> None:
    job = stored_job(database)
    assert client_of(app).get(address.replace("JOB", job.id)).status_code == status
