"""Logs: one line an event, on standard error, with the job and segment it is about."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[tuple[tuple[str, object], ...]] = ContextVar("about", default=())


@contextmanager
def log_context(**what: object) -> Iterator[None]:
    """Say in every line of this block what it is about: `log_context(job=..., segment=...)`.

    A thread begins with nothing of it: start it in `contextvars.copy_context()`.
    """
    token = _about.set(tuple((dict(_about.get()) | what).items()))
    try:
        yield
    finally:
        _about.reset(token)


def configure_logs(level: str, form: str = "text") -> None:
    """Write this process's log lines to standard error. Called by entrypoints only.

    `form` is `text`, for people, or `json`: one object a line, for machines.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell of every connection and statement; at our `info` they would be all one sees.
    for chatty in ("sqlalchemy", "celery", "kombu", "alembic", "httpx", "httpcore", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO faces_jobs.worker.process job=... segment=... message`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it: a file's name must not be able to forge a log line."""
        where = "".join(f" {name}={value}" for name, value in _about.get())
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        line = f"{self.time_of(record)} {record.levelname} {record.name}{where} {text}"
        return "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
            for letter in line
        )

    def time_of(self, record: logging.LogRecord) -> str:
        """When it happened, in UTC."""
        return f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"


class JsonFormatter(LineFormatter):
    """The same as one JSON object: time, level, logger, what it is about, message, error."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of ASCII: JSON escapes whatever could end or forge one."""
        told: dict[str, object] = {
            "time": self.time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _about.get():
            told[name] = value if isinstance(value, int | float) else str(value)
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told)
