"""Downloads, from a server on this machine that behaves in many ways."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from faces_jobs.errors import DownloadError, ModelError
from faces_jobs_models.download import download
from tests.http_servers import serving

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LIMIT = 200_000


@dataclass
class Server:
    """What it was asked, and where it listens."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/whole")
                self.end_headers()
                return
            if self.path == "/absent":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if self.path == "/cut" else CONTENT)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        told.url = url
        yield told


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("path", ["/whole", "/moved"])
def test_the_file_arrives_whole(server: Server, path: str, tmp_path: Path) -> None:
    download(server.url + path, tmp_path / "file", sha256=SHA256, max_bytes=LIMIT)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert files(tmp_path) == ["file"]


def test_a_file_that_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    download(server.url + "/whole", tmp_path / "file", sha256=SHA256, max_bytes=LIMIT)
    assert server.asked == []


def test_a_broken_file_that_is_there_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CONTENT[:-1])
    download(server.url + "/whole", tmp_path / "file", sha256=SHA256, max_bytes=LIMIT)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"SHA-256 {SHA256}, not {'0' * 64}"):
        download(server.url + "/whole", tmp_path / "file", sha256="0" * 64, max_bytes=LIMIT)
    assert files(tmp_path) == []


def test_more_than_can_be_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="larger than 1000 bytes"):
        download(server.url + "/whole", tmp_path / "file", sha256=SHA256, max_bytes=1000)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "said"), [("/cut", "can't be downloaded"), ("/absent", "returned 404")]
)
def test_what_breaks_off_or_is_refused_leaves_what_was_there(
    server: Server, path: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"older")
    with pytest.raises(DownloadError, match=said):
        download(server.url + path, tmp_path / "file", sha256=SHA256, max_bytes=LIMIT)
    assert (tmp_path / "file").read_bytes() == b"older"
    assert files(tmp_path) == ["file"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/file", "no address", "ftp://127.0.0.1/file"])
def test_without_a_server_it_says_what_to_do(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="Check the network, or copy the file"):
        download(url, tmp_path / "file", sha256=SHA256, max_bytes=LIMIT)
    assert files(tmp_path) == []
