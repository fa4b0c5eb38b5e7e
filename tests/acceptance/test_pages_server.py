"""The web server as a process: uploads on the wire, several requests at once, its end."""

from __future__ import annotations

import hashlib
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

from faces_jobs.client import Client
from faces_jobs.errors import ServerError
from tests.acceptance.web import RunningWeb, running_web
from tests.services import PATIENCE_SECONDS
from tests.unit.web.media_files import png

LIMIT = 96 * 1024 * 1024
LARGE = 64 * 1024 * 1024
CHUNK = 1024 * 1024
# What the process may grow by while it takes an upload of LARGE bytes. It holds one chunk at a
# time; the rest is what the interpreter and SQLite keep after their first real request.
GROWTH = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def web(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWeb]:
    limits = {"max_upload_bytes": str(LIMIT), "min_free_bytes": "0"}
    with running_web(tmp_path_factory.mktemp("web"), sqlite_template, **limits) as running:
        yield running


def body(size: int) -> Iterator[bytes]:
    """A form with one file that begins as a PNG and has `size` bytes."""
    yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="large.png"\r\n\r\n'
    first = png()
    yield first
    left = size - len(first)
    while left > 0:
        yield bytes(min(CHUNK, left))
        left -= CHUNK
    yield b"\r\n--x--\r\n"


def length_of(size: int) -> int:
    return size + len(b"".join(body(0))) - len(png())


FIELDS = "application/x-www-form-urlencoded"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def test_a_large_upload_streams_to_disk(web: RunningWeb) -> None:
    before = web.most_memory()
    headers = {**FORM, "Content-Length": str(length_of(LARGE))}
    response = httpx.post(
        f"{web.url}/api/v1/jobs", content=body(LARGE), headers=headers, timeout=PATIENCE_SECONDS
    )
    assert response.status_code == 201, response.text
    (kept,) = web.uploads()
    assert kept.stat().st_size == LARGE
    expected = hashlib.sha256(png() + bytes(LARGE - len(png()))).hexdigest()
    with kept.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == expected
    assert web.most_memory() - before < GROWTH
    httpx.delete(web.url + response.headers["Location"])
    assert web.uploads() == []


def test_a_large_chunked_upload_streams_to_disk(web: RunningWeb) -> None:
    response = httpx.post(f"{web.url}/api/v1/jobs", content=body(CHUNK * 9), headers=FORM)
    assert response.status_code == 201, response.text
    (kept,) = web.uploads()
    assert kept.stat().st_size == CHUNK * 9
    httpx.delete(web.url + response.headers["Location"])


def test_a_chunked_upload_over_the_limit_is_refused_and_removed(web: RunningWeb) -> None:
    response = httpx.post(
        f"{web.url}/api/v1/jobs",
        content=body(LIMIT + CHUNK),
        headers=FORM,
        timeout=PATIENCE_SECONDS,
    )
    assert response.status_code == 413
    assert response.json()["code"] == "upload-too-large"
    web.wait_for_no_uploads()


def test_a_client_that_sends_too_much_sees_why(web: RunningWeb, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(LIMIT + 80 * CHUNK)  # over the limit with all that a form may add
    with Client(web.url) as client, pytest.raises(ServerError) as caught:
        client.submit_files([("large.png", path)], {})
    assert caught.value.status == 413
    assert web.uploads() == []


def test_an_owner_may_have_any_name(web: RunningWeb, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    with Client(web.url) as client:
        job = client.submit_files([(path.name, path)], {}, owner="Zoë 佐藤")
        client.delete(job.id)
    assert job.owner == "Zoë 佐藤"


def test_a_client_that_goes_away_leaves_nothing(web: RunningWeb) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        head = (
            f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {length_of(LARGE)}\r\n\r\n"
        )
        connection.sendall(head.encode())
        for sent, chunk in enumerate(body(LARGE)):
            connection.sendall(chunk)
            if sent == 8:
                break
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not web.uploads():
            assert time.monotonic() < deadline
            time.sleep(0.02)
    web.wait_for_no_uploads()
    assert httpx.get(f"{web.url}/api/v1/jobs").json()["jobs"] == []


def test_others_are_answered_while_an_upload_comes_in(web: RunningWeb) -> None:
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        head = (
            f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {length_of(CHUNK)}\r\n\r\n"
        )
        parts = body(CHUNK)
        slow.sendall(head.encode() + next(parts) + next(parts))
        assert httpx.get(f"{web.url}/healthz").status_code == 200
        assert httpx.get(f"{web.url}/jobs").status_code == 200
        for part in parts:
            slow.sendall(part)
        answer = slow.recv(4096)
    assert answer.startswith(b"HTTP/1.1 201 ")
    job = httpx.get(f"{web.url}/api/v1/jobs").json()["jobs"][0]
    httpx.delete(f"{web.url}/api/v1/jobs/{job['id']}")


@pytest.mark.parametrize("size", ["xyz", "-5", ""])
@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/api/v1/jobs", FORM["Content-Type"]),
        ("/api/v1/jobs", "application/json"),
        ("/", FORM["Content-Type"]),
        ("/login", FIELDS),
    ],
)
def test_a_broken_chunk_is_a_bad_request(web: RunningWeb, size: str, path: str, form: str) -> None:
    first = next(body(CHUNK))
    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Content-Type: {form}\r\nTransfer-Encoding: chunked\r\n\r\n{len(first):x}\r\n"
        )
        connection.sendall(head.encode() + first + f"\r\n{size}\r\nabc\r\n".encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1") == 1, "where a next request would begin is not known"
    assert "Traceback" not in web.log.read_text()


def test_clients_that_fall_silent_hold_nothing_up(tmp_path: Path, sqlite_template: Path) -> None:
    few = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **few) as web, ExitStack() as opened:
        host = f"HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
        form = f"POST /api/v1/jobs {host}Content-Type: {FORM['Content-Type']}\r\n"
        begun = [
            "GET /healthz HT",
            f"GET /healthz {host}",
            f"{form}Content-Length: 1000\r\n\r\n--x\r\n",
            f"{form}Transfer-Encoding: chunked\r\n\r\n100\r\n--x\r\n",
            f"POST /login {host}Content-Type: {FIELDS}\r\nContent-Length: 99\r\n\r\nform_token=",
        ]
        silent = []
        for text in begun * 2:
            client = socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS)
            silent.append(opened.enter_context(client))
            client.sendall(text.encode())
        assert httpx.get(f"{web.url}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
        for client in silent:
            assert client.makefile("rb").read().count(b"HTTP/1.1 ") <= 1, "it is closed"
        assert "Traceback" not in web.log.read_text()


def test_clients_that_send_a_byte_now_and_then_hold_nothing_up(
    tmp_path: Path, sqlite_template: Path
) -> None:
    few = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **few) as web, ExitStack() as opened:
        slow = []
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS)
            slow.append(opened.enter_context(client))
            client.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        answered = opened.enter_context(ThreadPoolExecutor()).submit(
            httpx.get, f"{web.url}/healthz", timeout=PATIENCE_SECONDS
        )
        while not answered.done():
            for client in slow:
                with suppress(OSError):  # it is closed
                    client.sendall(b"a")
            time.sleep(0.2)
        assert answered.result().status_code == 200
        assert "Traceback" not in web.log.read_text()


def test_clients_that_take_nothing_hold_nothing_up(tmp_path: Path, sqlite_template: Path) -> None:
    few = {"web_threads": "2", "web_waiters": "0", "web_silence_seconds": "1"}
    with running_web(tmp_path, sqlite_template, **few) as web, ExitStack() as opened:
        ask = f"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n\r\n"
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS)
            opened.enter_context(client)
            client.settimeout(0.5)
            with suppress(OSError):  # neither end holds any more of it
                client.sendall(ask.encode() * 100_000)
        assert httpx.get(f"{web.url}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
        assert "Traceback" not in web.log.read_text()


def test_an_upload_that_is_slow_but_moves_is_taken(tmp_path: Path, sqlite_template: Path) -> None:
    with (
        running_web(tmp_path, sqlite_template, web_silence_seconds="2") as web,
        socket.create_connection(("127.0.0.1", web.port), timeout=PATIENCE_SECONDS) as slow,
    ):
        head = (
            f"POST /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\n"
            f"Content-Type: {FORM['Content-Type']}\r\nContent-Length: {length_of(100)}\r\n\r\n"
        )
        slow.sendall(head.encode())
        sent = b"".join(body(100))
        step = len(sent) // 20 + 1
        for start in range(0, len(sent), step):
            slow.sendall(sent[start : start + step])
            time.sleep(0.2)  # together twice as long as one silence may be
        assert slow.recv(4096).startswith(b"HTTP/1.1 201 ")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_well(
    tmp_path: Path, sqlite_template: Path, how: signal.Signals
) -> None:
    with running_web(tmp_path, sqlite_template) as web:
        worker = psutil.Process(web.process.pid).children()
        web.process.send_signal(how)
        assert web.process.wait(PATIENCE_SECONDS) == 0
        assert psutil.wait_procs(worker, timeout=PATIENCE_SECONDS)[1] == []
        text = web.log.read_text()
        assert f"Serving at {web.url}" in text
        assert "Traceback" not in text


def test_without_a_database_it_says_so_and_does_not_listen(tmp_path: Path) -> None:
    with running_web(tmp_path, None) as web:
        assert web.process.wait(PATIENCE_SECONDS) != 0
        text = web.log.read_text()
        assert "faces-jobs db upgrade" in text
        assert "Traceback" not in text
        assert "Serving at" not in text
