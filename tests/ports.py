"""Free ports for the servers that tests start, distinct across all tests on one machine."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a free port of 127.0.0.1 that the system won't assign to others for a minute.

    A port that was merely free a moment ago may be another test's by now. This one has just had a
    connection that was closed from the server's side, so it is in TIME_WAIT: the system skips it
    when it assigns ports, but a server that binds it with SO_REUSEADDR, as servers do, gets it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()
    return port
