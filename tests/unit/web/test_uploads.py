"""Parsing a multipart body: files arrive unchanged, however the network splits the stream."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Request
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from faces_jobs.errors import FacesJobsError, StorageFullError
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs_web.uploads import receive_upload

BOUNDARY = "cut-here"


class ChunkedBody(io.BytesIO):
    """A body that is read in pieces of the given sizes, in turn."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        super().__init__(content)
        self._sizes = sizes
        self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = self._sizes[self._reads % len(self._sizes)]
        self._reads += 1
        return super().read(piece if size is None or size < 0 else min(size, piece))


def form(parts: list[tuple[str, str | None, bytes]]) -> bytes:
    """A multipart body of (field, file name or None, content)."""
    body = b""
    for field, name, content in parts:
        file = b"" if name is None else f'; filename="{name}"'.encode()
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"'.encode()
        body += head + file + b"\r\n\r\n" + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


def request_of(body: bytes, sizes: list[int]) -> Request:
    return Request(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}",
            "wsgi.input": ChunkedBody(body, sizes),
            "wsgi.input_terminated": True,
        }
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_folder=tmp_path, max_upload_bytes=100_000, max_files=20, min_free_bytes=0)


@pytest.fixture
def storage(settings: Settings) -> Iterator[LocalStorage]:
    storage = LocalStorage(settings.data_folder / "files")
    yield storage
    assert [path for path in storage.folder.rglob("*") if path.is_file()] == []


# Fragments of boundaries and line ends, which a parser may mistake for real ones.
tricky = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"--", b"\r\n--cut", BOUNDARY.encode(), b"a" * 50])
    | st.binary(max_size=40),
    max_size=12,
).map(b"".join)
contents = tricky.filter(lambda content: f"--{BOUNDARY}".encode() not in content)
parts = st.lists(
    st.tuples(st.just("files"), st.sampled_from(["a.png", "b/c.mov", "ü.gif"]), contents)
    | st.tuples(st.sampled_from(["label", "gender"]), st.none(), st.just(b"text")),
    max_size=6,
)
# Each example cleans up after itself, and the fixtures hold no state between them.
shared = hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


@shared
@given(parts=parts, sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_received_files_equal_those_that_were_sent(
    storage: LocalStorage,
    settings: Settings,
    parts: list[tuple[str, str | None, bytes]],
    sizes: list[int],
) -> None:
    request = request_of(form(parts), sizes)
    with receive_upload(request, storage=storage, settings=settings) as upload:
        expected = [(name, content) for _, name, content in parts if name is not None]
        received = [(file.name, file.path.read_bytes()) for file in upload.files]
        assert received == expected
        for file, (_, content) in zip(upload.files, expected, strict=True):
            assert file.bytes == len(content)
            assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert sum(len(values) for values in upload.fields.values()) == len(parts) - len(expected)


@shared
@given(body=st.binary(max_size=300) | st.just(form([("files", "a.png", b"x" * 99)])), cut=st.data())
def test_a_truncated_body_is_rejected_and_leaves_no_file(
    storage: LocalStorage, settings: Settings, body: bytes, cut: st.DataObject
) -> None:
    end = cut.draw(st.integers(0, max(0, len(body) - 5)))
    request = request_of(body[:end], [7])
    with (
        pytest.raises((BadRequest, RequestEntityTooLarge, FacesJobsError)),
        receive_upload(request, storage=storage, settings=settings),
    ):
        raise AssertionError("a truncated form was accepted")


def test_files_are_removed_when_the_submission_fails(
    storage: LocalStorage, settings: Settings
) -> None:
    request = request_of(form([("files", "a.png", b"content")]), [100])

    def submit() -> None:
        with receive_upload(request, storage=storage, settings=settings) as upload:
            assert upload.files[0].path.exists()
            raise StorageFullError("No room.")

    with pytest.raises(StorageFullError):
        submit()
