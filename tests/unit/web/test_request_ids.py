"""Request ids: in log lines and in the response header."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from flask import Flask

from faces_jobs.logs import JsonFormatter
from tests.unit.web.conforming import WebClient, client_of


class RecordedLines(logging.Handler):
    """Formats and keeps each log line, in the thread and context that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = RecordedLines()
    logger = logging.getLogger("faces_jobs_web")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_valid_id_of_the_client_is_used(client: WebClient, lines: list[str]) -> None:
    response = client.get("/api/v1/jobs", headers={"X-Request-Id": "proxy-7.a_B"})
    assert response.headers["X-Request-Id"] == "proxy-7.a_B"
    (line,) = lines
    assert '"request": "proxy-7.a_B"' in line
    assert "GET /api/v1/jobs 200 in " in line


def test_a_request_without_an_id_gets_a_new_one(client: WebClient) -> None:
    ids = {client.get("/healthz").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", 'x","level":"error', "\u00e4"])
def test_an_id_that_could_forge_a_line_is_replaced(client: WebClient, given: str) -> None:
    new_id = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert len(new_id) == 32
    assert new_id.isalnum()


def test_rejected_requests_have_an_id_too(guarded: Flask, lines: list[str]) -> None:
    response = client_of(guarded).get("/api/v1/jobs", headers={"X-Request-Id": "who"})
    assert response.status_code == 401
    assert response.headers["X-Request-Id"] == "who"
    assert [line for line in lines if '"request": "who"' in line]


def test_the_log_line_of_an_error_has_the_request_id(app: Flask, lines: list[str]) -> None:
    def broken() -> str:
        raise RuntimeError("something broke")

    app.view_functions["jobs.index"] = broken
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client_of(app).get("/api/v1/jobs", headers={"X-Request-Id": "mine"})
    assert any('"request": "mine"' in line and "something broke" in line for line in lines)
