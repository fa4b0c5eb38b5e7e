"""A gunicorn threaded worker with a timeout for the head of a request, and a pace for its body.

Silent connections are closed by the timeout of their socket (`listening`). A client that sends
its request line and headers byte by byte is never silent and needs no access token, and could
occupy a thread for as long as it likes (a Slowloris attack). `body_pace` does the same for bodies.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from faces_jobs_web.body_pace import BodyPace


class HeadTimeoutWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """Closes connections whose request head takes longer than `silence_seconds` to arrive.

    Bodies must have the pace that `BodyPace` demands, measured over `silence_seconds`.
    """

    silence_seconds: float  # set before the worker runs

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadlines: dict[Any, float] = {}  # by connection

    def handle(self, conn: Any) -> Any:
        """Read and process a request; runs in a thread of the pool."""
        self._deadlines[conn] = time.monotonic() + self.silence_seconds
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Process a request whose head was received; the view reads its body."""
        self._deadlines.pop(conn, None)
        unreader = conn.parser.unreader
        unreader.chunk = BodyPace(
            unreader.chunk, seconds=self.silence_seconds, close=req.force_close
        )
        try:
            return super().handle_request(req, conn)
        finally:
            del unreader.chunk  # the method again, for the next request's head

    def murder_pending(self) -> None:
        """Close connections past their deadline; the main thread calls this about every second."""
        super().murder_pending()
        now = time.monotonic()
        for conn, deadline in self._deadlines.copy().items():
            if deadline <= now:
                with suppress(OSError):  # it was closed meanwhile
                    conn.sock.shutdown(socket.SHUT_RDWR)
