"""Reading from a bucket over connections that break off."""

from __future__ import annotations

import io
from typing import cast

import pytest
from botocore.exceptions import ReadTimeoutError

from faces_jobs.errors import StorageError
from faces_jobs.storage.reading import INITIAL_REQUEST_BYTES, BucketReader
from faces_jobs.storage.s3 import Bucket

CONTENT = bytes(range(251)) * 30_000


class Stream(io.BytesIO):
    """Breaks off after so many bytes: with an error, or as if that were the end."""

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


class Shaky:
    """Answers as a bucket does, over such connections."""

    name = "shaky"

    def __init__(self, breaks_after: int, *, silently: bool = False) -> None:
        self.asked: list[tuple[int, int]] = []
        self._breaks_after = breaks_after
        self._silently = silently

    def read(self, _key: str, start: int, end: int) -> Stream:
        self.asked.append((start, end))
        return Stream(CONTENT[start:end], self._breaks_after, silently=self._silently)


def reader(bucket: Shaky) -> BucketReader:
    return BucketReader(cast("Bucket", bucket), "key", len(CONTENT))


@pytest.mark.parametrize("silently", [False, True])
def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(*, silently: bool) -> None:
    bucket = Shaky(700_000, silently=silently)
    with reader(bucket) as file:
        assert io.BufferedReader(file).read() == CONTENT
    assert bucket.asked[1][0] == 700_000


def test_one_that_breaks_off_again_and_again_is_given_up() -> None:
    bucket = Shaky(0)
    with reader(bucket) as file, pytest.raises(StorageError, match="interrupted"):
        file.read(10)
    assert len(bucket.asked) == 4


def test_few_bytes_are_asked_for_at_first_and_more_later() -> None:
    bucket = Shaky(len(CONTENT))
    with reader(bucket) as file:
        file.seek(100)
        assert file.read(10) == CONTENT[100:110]
        assert bucket.asked == [(100, 100 + INITIAL_REQUEST_BYTES)]
        assert io.BufferedReader(file).read() == CONTENT[110:]
    sizes = [end - start for start, end in bucket.asked]
    assert sizes[:2] == [INITIAL_REQUEST_BYTES, 2 * INITIAL_REQUEST_BYTES]
