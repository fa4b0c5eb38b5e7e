"""Log lines: one per event, with its context, as text or as JSON."""

from __future__ import annotations

import json
import logging
import re

import pytest

from faces_jobs.logs import JsonFormatter, LineFormatter, configure_logs, log_context


def line(
    message: str,
    *arguments: object,
    error: BaseException | None = None,
    formatter: LineFormatter | None = None,
) -> str:
    record = logging.LogRecord(
        "faces_jobs.x",
        logging.WARNING,
        __file__,
        1,
        message,
        arguments,
        (type(error), error, error.__traceback__) if error else None,
    )
    return (formatter or LineFormatter()).format(record)


def test_a_line_has_time_level_logger_and_context() -> None:
    with log_context(job="j1"), log_context(segment=7):
        written = line("read %d frames", 3)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING faces_jobs\.x job=j1 segment=7 "
        r"read 3 frames",
        written,
    )
    assert "job=" not in line("after")


def test_control_characters_in_a_name_can_t_forge_a_line() -> None:
    assert len(line("item %s", "a\n2026 INFO all is well\r\x1b[2K\u202e").splitlines()) == 1


def test_an_error_is_part_of_the_same_line() -> None:
    written = line("failed", error=KeyError("x"))
    assert "KeyError" in written
    assert len(written.splitlines()) == 1


def test_lines_of_the_configured_level_go_to_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        configure_logs("warning")
        logging.getLogger("faces_jobs.y").info("too detailed")
        logging.getLogger("faces_jobs.y").warning("important")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert "important" in capsys.readouterr().err.splitlines()[0]


def test_a_json_line_is_one_object() -> None:
    with log_context(job="j1", attempt=2):
        written = line("read %d \u202eframes\n", 3, formatter=JsonFormatter())
    assert len(written.splitlines()) == 1
    document = json.loads(written)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document.pop("time"))
    assert document == {
        "level": "warning",
        "logger": "faces_jobs.x",
        "job": "j1",
        "attempt": 2,
        "message": "read 3 \u202eframes\n",
    }


def test_a_json_line_has_its_error() -> None:
    document = json.loads(line("failed", error=KeyError("x"), formatter=JsonFormatter()))
    assert document["message"] == "failed"
    assert "KeyError" in document["error"]


def test_nested_contexts_repeat_no_key() -> None:
    with log_context(job="j1", segment=7), log_context(job="j1"):
        assert line("done").count("job=") == 1
