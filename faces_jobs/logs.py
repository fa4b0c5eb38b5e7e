"""Logging to standard error: one line per event, with the job and segment that it concerns."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_context: ContextVar[tuple[tuple[str, object], ...]] = ContextVar("log_context", default=())


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Add fields to every log line of this block: `log_context(job=..., segment=...)`.

    New threads do not inherit them: start a thread in `contextvars.copy_context()`.
    """
    token = _context.set(tuple((dict(_context.get()) | fields).items()))
    try:
        yield
    finally:
        _context.reset(token)


def configure_logs(level: str, log_format: str = "text") -> None:
    """Log to standard error. Called by entry points only.

    `log_format` is `text`, for people, or `json`, one object per line.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else LineFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At `info` these log every connection and statement, which would drown our own lines.
    for noisy in ("sqlalchemy", "celery", "kombu", "alembic", "httpx", "httpcore", "PIL"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO faces_jobs.worker.process job=... segment=... message`."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line; escape what is not printable, so that no text forges one."""
        fields = "".join(f" {name}={value}" for name, value in _context.get())
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        line = f"{self.timestamp(record)} {record.levelname} {record.name}{fields} {text}"
        return "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
            for letter in line
        )

    def timestamp(self, record: logging.LogRecord) -> str:
        """The record's time in UTC, as ISO 8601."""
        return f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03d}Z"


class JsonFormatter(LineFormatter):
    """One JSON object per line: time, level, logger, message, context fields and error."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as one line of ASCII; JSON escapes line ends and control characters."""
        entry: dict[str, object] = {
            "time": self.timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in _context.get():
            entry[name] = value if isinstance(value, int | float) else str(value)
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry)
