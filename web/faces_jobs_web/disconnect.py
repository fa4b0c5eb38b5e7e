"""Whether a client still listens, as far as its connection tells."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

_SOCKET = "gunicorn.socket"


def disconnect_check(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Tells of this request's client, each time it is asked, whether it sends nothing any more.

    It may still read: only what is written to it shows that. So this is a reason to write.
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
