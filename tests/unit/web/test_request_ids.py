"""Every request's id: on its log lines, and in the answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from flask import Flask

from faces_jobs.logs import JsonFormatter
from tests.unit.web.conforming import WebClient, client_of


class Lines(logging.Handler):
    """Keeps each line as it is written, in the thread and context that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    logger = logging.getLogger("faces_jobs_web")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_given_id_is_taken_over(client: WebClient, lines: list[str]) -> None:
    answer = client.get("/api/v1/jobs", headers={"X-Request-Id": "proxy-7.a_B"})
    assert answer.headers["X-Request-Id"] == "proxy-7.a_B"
    (line,) = lines
    assert '"request": "proxy-7.a_B"' in line
    assert "GET /api/v1/jobs 200 in " in line


def test_every_other_request_gets_an_id_of_its_own(client: WebClient) -> None:
    ids = {client.get("/healthz").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", 'x","level":"error', "\u00e4"])
def test_an_id_that_could_forge_a_line_is_replaced(client: WebClient, given: str) -> None:
    answered = client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert len(answered) == 32
    assert answered.isalnum()


def test_refused_requests_have_one_too(guarded: Flask, lines: list[str]) -> None:
    answer = client_of(guarded).get("/api/v1/jobs", headers={"X-Request-Id": "who"})
    assert answer.status_code == 401
    assert answer.headers["X-Request-Id"] == "who"
    assert [line for line in lines if '"request": "who"' in line]


def test_an_error_s_line_has_the_id(app: Flask, lines: list[str]) -> None:
    def broken() -> str:
        raise RuntimeError("something broke")

    app.view_functions["jobs.index"] = broken
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client_of(app).get("/api/v1/jobs", headers={"X-Request-Id": "mine"})
    assert any('"request": "mine"' in line and "something broke" in line for line in lines)
