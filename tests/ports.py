"""Ports for the servers that tests start: no two tests of one machine are given the same one."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of 127.0.0.1 that is nobody's, and that the system gives to nobody for a minute.

    A port that was merely free a moment ago may by now be another test's. This one has just had a
    connection, closed from the server's side, and so waits out stray packets: whoever asks for
    any port gets another, while a server that asks for this one, with SO_REUSEADDR as servers do,
    gets it.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listener.accept()
            accepted.close()
    return port
