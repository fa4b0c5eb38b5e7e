"""Refuses request bodies that stop arriving, or that arrive too slowly, with a 408.

The timeout of the socket (`server.listening`) only stops clients that are silent. One that sends a
byte now and then would occupy a thread for as long as it likes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from werkzeug.exceptions import RequestTimeout

MIN_BYTES_PER_SECOND = 1000  # the slowest mobile networks have several times as much


class BodyPace:
    """Reads a request's body from the socket, as long as it arrives fast enough.

    The body may pause for `seconds`, but every `seconds * MIN_BYTES_PER_SECOND` bytes of it must
    arrive within that time. Only waiting for the client counts, not what the server does meanwhile.
    """

    def __init__(
        self, receive: Callable[..., bytes], *, seconds: float, close: Callable[[], None]
    ) -> None:
        """Wrap `receive`, which returns the next bytes, and raises `OSError` if none come.

        `close` is called when the body is refused: its connection can't be used again.
        """
        self._receive = receive
        self._close = close
        self._seconds = seconds
        self._least_bytes = seconds * MIN_BYTES_PER_SECOND
        self._bytes = 0
        self._waited = 0.0

    def __call__(self, *arguments: Any) -> bytes:
        """Return the next bytes.

        Raises:
            RequestTimeout: the body stopped or is too slow. It is no `OSError`, which would mean
                that the client has gone.
        """
        started = time.monotonic()
        try:
            data = self._receive(*arguments)
        except (BlockingIOError, TimeoutError) as error:  # the timeout of the socket
            self._close()
            raise RequestTimeout(
                f"Nothing more of the body arrived for {self._seconds:g} s: send it again."
            ) from error
        self._waited += time.monotonic() - started
        self._bytes += len(data)
        if self._bytes >= self._least_bytes:
            self._bytes, self._waited = 0, 0.0
        elif data and self._waited > self._seconds:
            self._close()
            raise RequestTimeout(
                f"The body arrives at less than {MIN_BYTES_PER_SECOND:,} bytes per second: send it "
                "again over a faster connection."
            )
        return data
