"""A TCP proxy between a process and its server that can be made slow or silent, or be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536


class Proxy:
    """Forwards bytes between a port of its own and a server's."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._open = threading.Event()
        self._open.set()
        self.delay_seconds = 0.0
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Delay everything, in both directions."""
        self.delay_seconds = seconds
        try:
            yield
        finally:
            self.delay_seconds = 0.0

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Keep and accept connections but forward nothing; deliver all of it afterwards."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        """Accept no more connections, and close the existing ones."""
        self._open.set()
        # Otherwise the accepting thread would keep holding the port.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in list(self._pairs):
            _end(*pair)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:  # the server is down, and so is the proxy
                client.close()
                continue
            threading.Thread(
                target=self._connect, args=(client, server), name="proxy", daemon=True
            ).start()

    def _connect(self, client: socket.socket, server: socket.socket) -> None:
        with client, server:
            pair = (client, server)
            self._pairs.add(pair)
            back = threading.Thread(
                target=self._pass_on, args=(server, client), name="proxy", daemon=True
            )
            back.start()
            self._pass_on(client, server)
            back.join()
            self._pairs.discard(pair)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._open.wait()
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                target.sendall(data)
        _end(source, target)


def _end(*both: socket.socket) -> None:
    for one in both:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
