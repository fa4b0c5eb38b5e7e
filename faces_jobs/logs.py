"""Logs: one line an event, on standard error, with the job and segment it is about."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_about: ContextVar[tuple[tuple[str, object], ...]] = ContextVar("about", default=())


@contextmanager
def about(**what: object) -> Iterator[None]:
    """Say in every line of this block what it is about: `about(job=..., segment=...)`."""
    token = _about.set((*_about.get(), *what.items()))
    try:
        yield
    finally:
        _about.reset(token)


def configure_logs(level: str) -> None:
    """Write this process's log lines to standard error. Called by entrypoints only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These tell of every connection and statement; at our `info` they would be all one sees.
    for chatty in ("sqlalchemy", "celery", "kombu", "alembic", "httpx", "httpcore", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO faces_jobs.worker.process job=... segment=... message`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it: a file's name must not be able to forge a log line."""
        written = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        where = "".join(f" {name}={value}" for name, value in _about.get())
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        line = f"{written}.{int(record.msecs):03d}Z {record.levelname} {record.name}{where} {text}"
        return "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
            for letter in line
        )
