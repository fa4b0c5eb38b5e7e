"""A real HTTP server of this machine that gets webhooks and answers as a test wants it to."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered: `respond` gets the handler behind the request's body."""

    url: str
    respond: Callable[[BaseHTTPRequestHandler], None]
    received: list[Received] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """The delivery ids that came."""
        return [one.headers["webhook-id"] for one in self.received]


def respond_with(status: int, body: bytes = b"", **headers: str) -> Callable[..., None]:
    """An answer of this status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def receiver(
    respond: Callable[[BaseHTTPRequestHandler], None] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    """Start a receiver on a free port; one that hangs is released at the end."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            opened.received.append(Received(self.path, headers, body))
            opened.arrived.set()
            # The sender has gone: some tests are about that.
            with suppress(BrokenPipeError, ConnectionResetError):
                opened.respond(self)

        def log_message(self, *_arguments: object) -> None:
            """Nothing is printed."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that breaks off, or refuses our certificate, is what a test wants."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook"
    opened = Receiver(url, respond or respond_with(204))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield opened
    finally:
        opened.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def self_signed_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for `name` that signs itself, and its key."""
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
