"""A wire between a process and its server that can be made slow, silent or torn."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 65536


class Wire:
    """Passes bytes on between a port of its own and a server's."""

    def __init__(self, server_port: int) -> None:
        self._server = ("127.0.0.1", server_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._open = threading.Event()
        self._open.set()
        self.delay_seconds = 0.0
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, name="wire", daemon=True).start()

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Everything that is sent, either way, comes so much later."""
        self.delay_seconds = seconds
        try:
            yield
        finally:
            self.delay_seconds = 0.0

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Connections stand and new ones are taken, but nothing passes; later all of it does."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def close(self) -> None:
        """Take no more connections, and end those that are."""
        self._open.set()
        # Without this the thread that accepts would go on holding the port.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self._pairs:
            for one in pair:
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            try:
                server = socket.create_connection(self._server)
            except OSError:  # the server is down: so is the wire
                client.close()
                continue
            self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pass_on, args=(source, target), name="wire", daemon=True
                ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._open.wait()
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
