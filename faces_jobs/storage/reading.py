"""A file in a bucket, read like one on disk: from any place in it, in pieces, none kept."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from faces_jobs.errors import StorageError

if TYPE_CHECKING:
    from faces_jobs.storage.s3 import Bucket

# Each request asks for twice as much as the last: few bytes for who looks, few requests for who
# reads on.
INITIAL_REQUEST_BYTES = 1024**2
MAX_REQUEST_BYTES = 16 * 1024**2
TRIES = 4


class BucketReader(io.RawIOBase):
    """Reads a file that has so many bytes. A connection that breaks off is taken up again."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._at = 0
        self._stream: Any = None
        self._ends_at = 0
        self._ask_bytes = INITIAL_REQUEST_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere, which costs nothing before something is read there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        at = max(0, base + offset)
        if at != self._at:
            self._at = at
            self._ask_bytes = INITIAL_REQUEST_BYTES
            self._drop()
        return at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end.

        Raises:
            NotFoundError: the file was deleted meanwhile.
            StorageError: the bucket does not answer, or broke off again and again.
        """
        if self._at >= self._size:
            return 0
        broken: BotoCoreError | None = None
        for _ in range(TRIES):
            try:
                data = self._some(len(buffer))
            except BotoCoreError as error:
                self._drop()
                broken = error
                continue
            if data:
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            self._drop()  # ended before it should have
        raise StorageError(f"The bucket {self._bucket.name} broke off a download.") from broken

    def close(self) -> None:
        """Close the connection too."""
        self._drop()
        super().close()

    def _some(self, most: int) -> bytes:
        if self._stream is None or self._at >= self._ends_at:
            self._drop()
            self._ends_at = min(self._at + self._ask_bytes, self._size)
            self._stream = self._bucket.read(self._key, self._at, self._ends_at)
            self._ask_bytes = min(2 * self._ask_bytes, MAX_REQUEST_BYTES)
        data = self._stream.read(min(most, self._ends_at - self._at))
        return bytes(data)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
