"""A local HTTP server that records webhooks and responds as a test tells it to."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.http_servers import serving
from tests.services import missing_service


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it was received."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running receiver: its URL, how it responds, and what it has received.

    `respond` is called with the request handler once the request's body is read. `arrived` is set
    by each request; `released` is for responses that hang until the test is over.
    """

    url: str
    respond: Callable[[BaseHTTPRequestHandler], None]
    received: list[Received] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """The delivery ids that were received, in order."""
        return [request.headers["webhook-id"] for request in self.received]


def respond_with(status: int, body: bytes = b"", **headers: str) -> Callable[..., None]:
    """Return a handler that sends this response."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


@contextmanager
def receiver(
    respond: Callable[[BaseHTTPRequestHandler], None] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """Run a receiver on a free port; responses that hang are released at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            running.received.append(Received(self.path, headers, body))
            running.arrived.set()
            # Some tests are about senders that disconnect early.
            with suppress(BrokenPipeError, ConnectionResetError):
                running.respond(self)

        def log_message(self, *_arguments: object) -> None:
            """Suppress the log of requests."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Print nothing: clients that disconnect or reject the certificate are expected."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://127.0.0.1:{server.server_port}/hook"
    running = Receiver(url, respond or respond_with(204))
    with serving(server):
        try:
            yield running
        finally:
            running.released.set()


def self_signed_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Create a self-signed certificate for `name`; return the paths of it and of its key."""
    if shutil.which("openssl") is None:
        missing_service("The program openssl is not installed (Debian: openssl).")
    paths = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", paths[1], "-out", paths[0]],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return paths
