"""The web server as a process: streamed uploads, slow clients, concurrency and shutdown."""

from __future__ import annotations

import hashlib
import select
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from faces_jobs.client.api import Client
from faces_jobs.errors import ServerError
from tests.acceptance.web import RunningWeb, running_web
from tests.services import TIMEOUT_SECONDS
from tests.unit.web.media_files import png

LIMIT = 96 * 1024 * 1024
LARGE = 64 * 1024 * 1024
CHUNK = 1024 * 1024
# How much memory the process may add during an upload of LARGE bytes. It holds one chunk at a
# time; the rest is what the interpreter and SQLite keep after their first real request.
MAX_GROWTH = 24 * 1024 * 1024
FIELDS = "application/x-www-form-urlencoded"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture(scope="module")
def web(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWeb]:
    limits = {"max_upload_bytes": str(LIMIT), "min_free_bytes": "0"}
    with running_web(tmp_path_factory.mktemp("web"), sqlite_template, **limits) as running:
        yield running


def body(size: int) -> Iterator[bytes]:
    """A form with one file of `size` bytes that starts like a PNG, in chunks."""
    yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="large.png"\r\n\r\n'
    first = png()
    yield first
    remaining = size - len(first)
    while remaining > 0:
        yield bytes(min(CHUNK, remaining))
        remaining -= CHUNK
    yield b"\r\n--x--\r\n"


def content_length(size: int) -> int:
    """The length of a whole form whose file has `size` bytes."""
    return size + len(b"".join(body(0))) - len(png())


def upload_head(port: int, size: int) -> str:
    """The request line and headers of an upload whose file has `size` bytes."""
    return (
        f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {content_length(size)}\r\n\r\n"
    )


def test_a_large_upload_streams_to_disk(web: RunningWeb) -> None:
    before = web.peak_memory_bytes()
    headers = {**FORM, "Content-Length": str(content_length(LARGE))}
    response = httpx.post(
        f"{web.url}/api/v1/jobs", content=body(LARGE), headers=headers, timeout=TIMEOUT_SECONDS
    )
    assert response.status_code == 201, response.text
    (kept,) = web.uploads()
    assert kept.stat().st_size == LARGE
    expected = hashlib.sha256(png() + bytes(LARGE - len(png()))).hexdigest()
    with kept.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected
    assert web.peak_memory_bytes() - before < MAX_GROWTH
    httpx.delete(web.url + response.headers["Location"], timeout=TIMEOUT_SECONDS)
    assert web.uploads() == []


def test_a_large_chunked_upload_streams_to_disk(web: RunningWeb) -> None:
    response = httpx.post(
        f"{web.url}/api/v1/jobs", content=body(CHUNK * 9), headers=FORM, timeout=TIMEOUT_SECONDS
    )
    assert response.status_code == 201, response.text
    (kept,) = web.uploads()
    assert kept.stat().st_size == CHUNK * 9
    httpx.delete(web.url + response.headers["Location"], timeout=TIMEOUT_SECONDS)


def test_a_chunked_upload_over_the_limit_is_refused_and_removed(web: RunningWeb) -> None:
    response = httpx.post(
        f"{web.url}/api/v1/jobs",
        content=body(LIMIT + CHUNK),
        headers=FORM,
        timeout=TIMEOUT_SECONDS,
    )
    assert response.status_code == 413
    assert response.json()["code"] == "upload-too-large"
    web.wait_until_uploads_are_removed()


def test_a_client_that_sends_too_much_receives_the_error(web: RunningWeb, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(LIMIT + 80 * CHUNK)  # over the limit, including what a form may add
    with Client(web.url) as client, pytest.raises(ServerError) as caught:
        client.submit_files([("large.png", path)], {})
    assert caught.value.status == 413
    assert web.uploads() == []


def test_an_owner_name_may_have_any_characters(web: RunningWeb, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with Client(web.url) as client:
        job = client.submit_files([(path.name, path)], {}, owner="Zoë 佐藤")
        client.delete(job.id)
    assert job.owner == "Zoë 佐藤"


def test_an_upload_of_a_client_that_disconnects_is_removed(web: RunningWeb) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        head = upload_head(web.port, LARGE)
        connection.sendall(head.encode())
        for sent, chunk in enumerate(body(LARGE)):
            connection.sendall(chunk)
            if sent == 8:
                break
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not web.uploads():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    web.wait_until_uploads_are_removed()
    assert httpx.get(f"{web.url}/api/v1/jobs", timeout=TIMEOUT_SECONDS).json()["jobs"] == []


def test_other_requests_are_answered_during_an_upload(web: RunningWeb) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        head = upload_head(web.port, CHUNK)
        parts = body(CHUNK)
        slow.sendall(head.encode() + next(parts) + next(parts))
        assert httpx.get(f"{web.url}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200
        assert httpx.get(f"{web.url}/jobs", timeout=TIMEOUT_SECONDS).status_code == 200
        for part in parts:
            slow.sendall(part)
        response = slow.recv(4096)
    assert response.startswith(b"HTTP/1.1 201 ")
    job = httpx.get(f"{web.url}/api/v1/jobs", timeout=TIMEOUT_SECONDS).json()["jobs"][0]
    httpx.delete(f"{web.url}/api/v1/jobs/{job['id']}", timeout=TIMEOUT_SECONDS)


def test_a_client_cannot_change_the_server_s_path_by_a_header(web: RunningWeb) -> None:
    headers = {"SCRIPT_NAME": "/other"}
    assert (
        httpx.get(f"{web.url}/healthz", headers=headers, timeout=TIMEOUT_SECONDS).status_code == 200
    )
    assert (
        httpx.get(f"{web.url}/other/healthz", headers=headers, timeout=TIMEOUT_SECONDS).status_code
        == 404
    )


@pytest.mark.parametrize("size", ["xyz", "-5", ""])
@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/api/v1/jobs", FORM["Content-Type"]),
        ("/api/v1/jobs", "application/json"),
        ("/", FORM["Content-Type"]),
        ("/login", FIELDS),
    ],
)
def test_an_invalid_chunk_size_is_a_bad_request(
    web: RunningWeb, size: str, path: str, content_type: str
) -> None:
    first = next(body(CHUNK))
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n{len(first):x}\r\n"
        )
        connection.sendall(head.encode() + first + f"\r\n{size}\r\nabc\r\n".encode())
        response = connection.makefile("rb").read()
    assert response.startswith(b"HTTP/1.1 400 "), response
    assert response.count(b"HTTP/1.1") == 1, "the rest is not parsed as another request"
    assert "Traceback" not in web.log.read_text()


def test_silent_clients_do_not_block_the_server(tmp_path: Path, sqlite_template: Path) -> None:
    limits = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **limits) as web, ExitStack() as opened:
        host = f"HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
        form = f"POST /api/v1/jobs {host}Content-Type: {FORM['Content-Type']}\r\n"
        incomplete = [
            "GET /healthz HT",
            f"GET /healthz {host}",
            f"{form}Content-Length: 1000\r\n\r\n--x\r\n",
            f"{form}Transfer-Encoding: chunked\r\n\r\n100\r\n--x\r\n",
            f"POST /login {host}Content-Type: {FIELDS}\r\nContent-Length: 99\r\n\r\nform_token=",
        ]
        silent = []
        for text in incomplete * 2:
            client = socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS)
            silent.append(opened.enter_context(client))
            client.sendall(text.encode())
        assert httpx.get(f"{web.url}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200
        for client in silent:
            assert client.makefile("rb").read().count(b"HTTP/1.1 ") <= 1, "the connection is closed"
        assert "Traceback" not in web.log.read_text()


def test_clients_that_send_single_bytes_do_not_block_the_server(
    tmp_path: Path, sqlite_template: Path
) -> None:
    limits = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **limits) as web, ExitStack() as opened:
        slow = []
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS)
            slow.append(opened.enter_context(client))
            client.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        answer = opened.enter_context(ThreadPoolExecutor()).submit(
            httpx.get, f"{web.url}/healthz", timeout=TIMEOUT_SECONDS
        )
        while not answer.done():
            for client in slow:
                with suppress(OSError):  # the server has closed it
                    client.sendall(b"a")
            time.sleep(0.2)
        assert answer.result().status_code == 200
        assert "Traceback" not in web.log.read_text()


def test_bodies_that_arrive_byte_by_byte_are_refused(tmp_path: Path, sqlite_template: Path) -> None:
    limits = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    form = FORM["Content-Type"]
    starts = [
        ("/api/v1/jobs", form, "Content-Length: 9999\r\n\r\n--x\r\n"),
        ("/api/v1/jobs", form, "Transfer-Encoding: chunked\r\n\r\n9999\r\n--x\r\n"),
        ("/api/v1/jobs", "application/json", "Content-Length: 9999\r\n\r\n"),
        ("/login", FIELDS, "Content-Length: 9999\r\n\r\nform_token="),
        ("/", form, "Content-Length: 9999\r\n\r\n--x\r\n"),
    ]
    with running_web(tmp_path, sqlite_template, **limits) as web, ExitStack() as opened:
        slow = []
        for path, content_type, start in starts:
            client = socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS)
            slow.append(opened.enter_context(client))
            host = f"HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            client.sendall(f"POST {path} {host}Content-Type: {content_type}\r\n{start}".encode())
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while slow:
            assert time.monotonic() < deadline, "a body is still being waited for"
            answered = select.select(slow, [], [], 0.1)[0]
            for client in answered:
                assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
                slow.remove(client)
            for client in slow:
                client.sendall(b"a")
        assert httpx.get(f"{web.url}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200
        assert web.uploads() == []
        assert "Traceback" not in web.log.read_text()


def test_a_body_that_stops_is_refused_with_the_reason(
    tmp_path: Path, sqlite_template: Path
) -> None:
    with (
        running_web(tmp_path, sqlite_template, web_silence_seconds="1") as web,
        socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS) as silent,
    ):
        silent.sendall(upload_head(web.port, 100).encode() + b"--x\r\n")
        answer = silent.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"Nothing more of the body arrived for 1 s" in answer
        assert b"\r\nConnection: close\r\n" in answer


def test_clients_that_read_no_responses_do_not_block_the_server(
    tmp_path: Path, sqlite_template: Path
) -> None:
    limits = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **limits) as web, ExitStack() as opened:
        request = f"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n"
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS)
            opened.enter_context(client)
            client.settimeout(0.5)
            with suppress(OSError):  # the buffers of both ends are full
                client.sendall(request.encode() * 100_000)
        assert httpx.get(f"{web.url}/healthz", timeout=TIMEOUT_SECONDS).status_code == 200
        assert "Traceback" not in web.log.read_text()


def test_a_slow_but_steady_upload_is_accepted(tmp_path: Path, sqlite_template: Path) -> None:
    with (
        running_web(tmp_path, sqlite_template, web_silence_seconds="2") as web,
        socket.create_connection(("127.0.0.1", web.port), timeout=TIMEOUT_SECONDS) as slow,
    ):
        size = 20_000
        slow.sendall(upload_head(web.port, size).encode())
        sent = b"".join(body(size))
        step = len(sent) // 20 + 1
        for start in range(0, len(sent), step):
            slow.sendall(sent[start : start + step])
            time.sleep(0.2)  # in total twice as long as the permitted silence
        assert slow.recv(4096).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_shuts_the_server_down_cleanly(
    tmp_path: Path, sqlite_template: Path, signal_number: signal.Signals
) -> None:
    with running_web(tmp_path, sqlite_template) as web:
        worker = psutil.Process(web.process.pid).children()
        web.process.send_signal(signal_number)
        assert web.process.wait(TIMEOUT_SECONDS) == 0
        assert psutil.wait_procs(worker, timeout=TIMEOUT_SECONDS)[1] == []
        text = web.log.read_text()
        assert f"Serving at {web.url}" in text
        assert "Traceback" not in text


def test_without_a_database_the_server_prints_an_error_and_does_not_listen(tmp_path: Path) -> None:
    with running_web(tmp_path, None) as web:
        assert web.process.wait(TIMEOUT_SECONDS) != 0
        text = web.log.read_text()
        assert "faces-jobs db upgrade" in text
        assert "Traceback" not in text
        assert "Serving at" not in text
