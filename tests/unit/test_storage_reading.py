"""Reading from a bucket over connections that are interrupted."""

from __future__ import annotations

import io
from typing import cast

import pytest
from botocore.exceptions import ReadTimeoutError

from faces_jobs.errors import StorageError
from faces_jobs.storage.reading import INITIAL_REQUEST_BYTES, BucketReader
from faces_jobs.storage.s3 import Bucket

CONTENT = bytes(range(251)) * 30_000


class InterruptedStream(io.BytesIO):
    """Ends after `breaks_after` bytes: with an error, or silently like the end of the content."""

    def __init__(self, content: bytes, breaks_after: int, *, silently: bool) -> None:
        super().__init__(content)
        self._left = breaks_after
        self._silently = silently

    def read(self, size: int | None = -1, /) -> bytes:
        if self._left <= 0:
            if self._silently:
                return b""
            raise ReadTimeoutError(endpoint_url="http://storage.example")
        data = super().read(min(size or 0, self._left))
        self._left -= len(data)
        return data


class UnreliableBucket:
    """A bucket each of whose connections is interrupted after `breaks_after` bytes."""

    name = "unreliable"

    def __init__(self, breaks_after: int, *, silently: bool = False) -> None:
        self.requests: list[tuple[int, int]] = []
        self._breaks_after = breaks_after
        self._silently = silently

    def read(self, _key: str, start: int, end: int) -> InterruptedStream:
        self.requests.append((start, end))
        return InterruptedStream(CONTENT[start:end], self._breaks_after, silently=self._silently)


def reader(bucket: UnreliableBucket) -> BucketReader:
    return BucketReader(cast("Bucket", bucket), "key", len(CONTENT))


@pytest.mark.parametrize("silently", [False, True])
def test_an_interrupted_download_is_resumed_where_it_stopped(*, silently: bool) -> None:
    bucket = UnreliableBucket(700_000, silently=silently)
    with reader(bucket) as file:
        assert io.BufferedReader(file).read() == CONTENT
    assert bucket.requests[1][0] == 700_000


def test_a_download_that_is_interrupted_repeatedly_fails() -> None:
    bucket = UnreliableBucket(0)
    with reader(bucket) as file, pytest.raises(StorageError, match="interrupted"):
        file.read(10)
    assert len(bucket.requests) == 4


def test_the_first_request_is_small_and_later_ones_grow() -> None:
    bucket = UnreliableBucket(len(CONTENT))
    with reader(bucket) as file:
        file.seek(100)
        assert file.read(10) == CONTENT[100:110]
        assert bucket.requests == [(100, 100 + INITIAL_REQUEST_BYTES)]
        assert io.BufferedReader(file).read() == CONTENT[110:]
    sizes = [end - start for start, end in bucket.requests]
    assert sizes[:2] == [INITIAL_REQUEST_BYTES, 2 * INITIAL_REQUEST_BYTES]
