"""Detects whether the client of the current request has disconnected."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

_SOCKET = "gunicorn.socket"


def disconnect_check(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return a function that reports whether the request's client has closed its connection.

    It also returns True for a client that closed only its sending side and still reads; only a
    write can tell the two apart. So treat True as a reason to write, not to give up.
    """
    connection = environ.get(_SOCKET)
    if not isinstance(connection, socket.socket):
        return lambda: False

    def has_disconnected() -> bool:
        try:
            return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    return has_disconnected
