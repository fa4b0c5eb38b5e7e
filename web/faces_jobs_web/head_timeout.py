"""gunicorn's threaded worker, which waits for the head of a request only so long.

A silence on a connection is ended by its socket (`listening`). Who sends a byte of a head now and
then is never silent, needs no access token for that, and would hold a thread for as long as it
likes.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker


class HeadTimeoutWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Closes connections whose request's head takes longer than `head_seconds` to arrive."""

    head_seconds: float  # set before the worker runs

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._heads: dict[Any, float] = {}  # connection to when it is closed

    def handle(self, conn: Any) -> Any:
        """Read a request and answer it, in a thread."""
        self._heads[conn] = time.monotonic() + self.head_seconds
        try:
            return super().handle(conn)
        finally:
            self._heads.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head is there."""
        self._heads.pop(conn, None)
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close what takes too long; the main thread asks for it about once a second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in self._heads.copy().items():
            if deadline <= now:
                with suppress(OSError):  # closed in this very moment
                    conn.sock.shutdown(socket.SHUT_RDWR)
