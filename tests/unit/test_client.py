"""The HTTP client with servers that are not faces_jobs, and with unusual ids and owners."""

from __future__ import annotations

import errno
import os
import re
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from pydantic import SecretStr

from faces_jobs.certificates import client_ssl_context
from faces_jobs.client import api, connection
from faces_jobs.client.api import Client
from faces_jobs.db.jobs.changes import cancel_job
from faces_jobs.db.session import open_database
from faces_jobs.errors import ServerError
from faces_jobs.jobs.documents import AuditPage
from faces_jobs.jobs.query import MAX_PAGE_SIZE
from faces_jobs.results import get_job
from tests.factories import stored_job
from tests.http_servers import serving
from tests.ports import free_port
from tests.receivers import receiver, self_signed_certificate
from tests.unit.web.media_files import png

JOB = "0b9e0000-0000-4000-8000-000000000000"


class ForeignHandler(BaseHTTPRequestHandler):
    """Another program: it answers with `bodies` in turn, then with a page; it records requests."""

    url: ClassVar[str]
    status: ClassVar[int] = 200
    seconds: ClassVar[float] = 0.0  # until it answers
    paths: ClassVar[list[str]] = []
    owners: ClassVar[list[bytes]] = []
    tokens: ClassVar[list[str]] = []
    bodies: ClassVar[list[bytes]] = []

    def _respond(self) -> None:
        self.paths.append(self.path)
        self.owners.append(self.headers.get("Faces-Owner", "").encode("latin-1"))
        self.tokens.append(self.headers.get("Authorization", ""))
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        time.sleep(self.seconds)
        page = self.bodies.pop(0) if self.bodies else b"<!doctype html><title>Hello</title>"
        # Some tests are about clients that stop waiting, which is no error of this server.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(self.status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

    do_GET = do_POST = do_PATCH = _respond  # noqa: N815 (the names that http.server looks for)

    def log_message(self, *_: object) -> None:
        """Suppress the log of requests."""


@contextmanager
def foreign_server(status: int) -> Iterator[type[ForeignHandler]]:
    lists: dict[str, list[object]] = {"paths": [], "owners": [], "tokens": [], "bodies": []}
    handler: type[ForeignHandler] = type("Handler", (ForeignHandler,), {"status": status, **lists})
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        handler.url = url
        yield handler


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.job(JOB),
        lambda client: client.jobs(limit=1),
        lambda client: next(client.follow(JOB)),
        lambda client: next(client.items(JOB)),
        lambda client: client.cancel(JOB),
        lambda client: client.set_priority(JOB, "low"),
        lambda client: client.submit_folder("films", "", {}),
    ],
)
def test_a_server_that_is_another_program_is_reported_as_such(
    send: Callable[[Client], object], status: int
) -> None:
    with (
        foreign_server(status) as server,
        Client(server.url) as client,
        pytest.raises(ServerError, match=r"is not faces_jobs.*FACES_JOBS_SERVER_URL"),
    ):
        send(client)


def test_the_reason_why_no_server_answers_is_reported() -> None:
    server = f"http://127.0.0.1:{free_port()}"
    with (
        Client(server) as client,
        pytest.raises(ServerError, match=re.escape(os.strerror(errno.ECONNREFUSED))),
    ):
        client.job(JOB)


def test_the_access_token_is_sent_if_there_is_one() -> None:
    with foreign_server(200) as server:
        for token in (None, SecretStr("a-long-enough-access-token")):
            with Client(server.url, access_token=token) as client, pytest.raises(ServerError):
                client.job(JOB)
    assert server.tokens == ["", "Bearer a-long-enough-access-token"]


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with (
        foreign_server(200) as server,
        Client(server.url) as client,
        pytest.raises(ServerError, match="is not faces_jobs"),
    ):
        client.job(JOB)
    assert len(server.paths) == 1


def test_a_list_is_read_to_its_last_page() -> None:
    with foreign_server(200) as server, Client(server.url) as client:
        server.bodies += [
            AuditPage(entries=[], next_cursor=cursor).model_dump_json().encode()
            for cursor in ("second", "third", None)
        ]
        assert list(client.audit(JOB)) == []
    first = f"/api/v1/audit?limit={MAX_PAGE_SIZE}&job={JOB}"
    assert server.paths == [first, f"{first}&cursor=second", f"{first}&cursor=third"]


def test_a_submission_may_take_longer_than_other_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(png())
    monkeypatch.setattr(connection, "TIMEOUT", httpx.Timeout(0.1))
    with foreign_server(200) as server, Client(server.url) as client:
        server.seconds = 0.3
        with pytest.raises(ServerError, match="timed out"):
            client.job(JOB)
        with pytest.raises(ServerError, match="is not faces_jobs"):  # but it has answered
            client.submit_files([("a.png", photo)], {})


def test_private_certificates_are_trusted_if_openssl_is_configured_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed_certificate(tmp_path, "localhost")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(*certificate)
    monkeypatch.setattr(connection, "client_ssl_context", client_ssl_context.__wrapped__)
    with receiver(tls=server_side) as receiving:
        server = receiving.url.removesuffix("/hook").replace("127.0.0.1", "localhost")
        for trusted, message in ((False, "CERTIFICATE_VERIFY_FAILED"), (True, "is not faces_jobs")):
            if trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
            with Client(server) as client, pytest.raises(ServerError, match=message):
                client.cancel(JOB)


def test_a_job_id_is_quoted_so_that_it_stays_one_path_segment() -> None:
    with foreign_server(200) as server, Client(server.url) as client:
        for job_id in ("a/b?c#d", "..%2f", "ü"):
            with pytest.raises(ServerError):
                client.job(job_id)
        with pytest.raises(ServerError):
            client.cancel("x/../y")
    assert server.paths == [
        "/api/v1/jobs/a%2Fb%3Fc%23d",
        "/api/v1/jobs/..%252f",
        "/api/v1/jobs/%C3%BC",
        "/api/v1/jobs/x%2F..%2Fy/cancel",
    ]


def test_what_is_appended_to_a_file_while_it_is_sent_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "recording.ts"
    file.write_bytes(bytes(1_000_000))

    def append(_sent: int) -> None:
        with file.open("ab") as recording:
            recording.write(bytes(100_000))

    with (
        foreign_server(200) as server,
        Client(server.url) as client,
        pytest.raises(ServerError, match="is not faces_jobs"),  # it got the whole request
    ):
        client.submit_files([(file.name, file)], {}, on_sent=append)


def test_a_file_that_becomes_shorter_while_it_is_sent_is_named(tmp_path: Path) -> None:
    file = tmp_path / "recording.ts"
    file.write_bytes(bytes(1_000_000))
    with (
        foreign_server(200) as server,
        Client(server.url) as client,
        pytest.raises(OSError, match=r"became shorter.*recording\.ts"),
    ):
        client.submit_files([(file.name, file)], {}, on_sent=lambda _: os.truncate(file, 500_000))


def test_an_owner_in_any_script_is_sent_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with (
        foreign_server(200) as server,
        Client(server.url) as client,
        pytest.raises(ServerError),
    ):
        client.submit_files([("a.png", path)], {}, owner="Zoë 佐")
    assert server.owners == ["Zoë 佐".encode()]


def test_following_a_job_waits_for_a_server_that_is_away(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}") as database:
        job_id = stored_job(database).id
        queued = get_job(database, job_id)
        with database.begin() as session:
            cancel_job(session, job_id)
        cancelled = get_job(database, job_id)
    responses = [
        (200, queued),
        (304, None),
        (502, None),
        (503, None),
        (504, None),
        (200, cancelled),
    ]
    asked: list[tuple[str, str | None]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, job = responses.pop(0)
            asked.append((self.path, self.headers.get("If-None-Match")))
            body = b"" if job is None else job.model_dump_json().encode()
            self.send_response(status)
            self.send_header("ETag", '"first"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Suppress the log of requests."""

    monkeypatch.setattr(api, "RETRY_DELAY_SECONDS", 0.0)
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Proxy)) as url, Client(url) as client:
        assert list(client.follow(job_id)) == [queued, cancelled]
    path = f"/api/v1/jobs/{job_id}?wait={api.LONG_POLL_SECONDS}"
    # The server waits for a change only if it knows what the client has; after a failure it may
    # have missed one.
    known = [None, '"first"', '"first"', None, None, None]
    assert asked == [(path, version) for version in known]


@pytest.mark.parametrize("status", [502, 503])
def test_a_server_that_is_away_from_the_start_is_not_waited_for(status: int) -> None:
    with (
        foreign_server(status) as foreign,
        Client(foreign.url) as client,
        pytest.raises(ServerError, match=str(status)),
    ):
        next(client.follow(JOB))


def test_a_server_that_stays_away_is_given_up(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(f"sqlite:///{shutil.copy(sqlite_template, tmp_path)}") as database:
        job = get_job(database, stored_job(database).id)
    monkeypatch.setattr(api, "RECONNECT_FOR_SECONDS", 0.0)
    with foreign_server(200) as server, Client(server.url) as client:
        server.bodies.append(job.model_dump_json().encode())
        followed = client.follow(job.id)
        assert next(followed) == job
        server.status = 503
        with pytest.raises(ServerError, match="503"):
            next(followed)
