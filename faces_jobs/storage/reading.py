"""A file-like object for a file in a bucket, with seeking. Nothing is cached."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from faces_jobs.errors import StorageError

if TYPE_CHECKING:
    from faces_jobs.storage.s3 import Bucket

# Each request asks for twice as much as the last one: few bytes for short reads, few requests for
# long ones.
INITIAL_REQUEST_BYTES = 1024**2
MAX_REQUEST_BYTES = 16 * 1024**2
MAX_ATTEMPTS = 4


class BucketReader(io.RawIOBase):
    """Reads a file of known size. Reconnects when the connection is interrupted."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._position = 0
        self._stream: Any = None
        self._stream_end = 0
        self._request_bytes = INITIAL_REQUEST_BYTES

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """The position of the next byte that is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Change the position. Sends no request."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        position = max(0, base + offset)
        if position != self._position:
            self._position = position
            self._request_bytes = INITIAL_REQUEST_BYTES
            self._close_stream()
        return position

    def readinto(self, buffer: Any) -> int:
        """Read some bytes into the buffer. Returns how many; 0 at the end of the file.

        Raises:
            NotFoundError: the file was deleted meanwhile.
            StorageError: the bucket does not answer, or interrupts each of several attempts.
        """
        if self._position >= self._size:
            return 0
        last_error: BotoCoreError | None = None
        for _ in range(MAX_ATTEMPTS):
            try:
                data = self._read(len(buffer))
            except BotoCoreError as error:
                self._close_stream()
                last_error = error
                continue
            if data:
                buffer[: len(data)] = data
                self._position += len(data)
                return len(data)
            self._close_stream()  # it ended early
        raise StorageError(
            f"A download from the bucket {self._bucket.name} was interrupted."
        ) from last_error

    def close(self) -> None:
        """Close the connection."""
        self._close_stream()
        super().close()

    def _read(self, max_bytes: int) -> bytes:
        if self._stream is None or self._position >= self._stream_end:
            self._close_stream()
            self._stream_end = min(self._position + self._request_bytes, self._size)
            self._stream = self._bucket.read(self._key, self._position, self._stream_end)
            self._request_bytes = min(2 * self._request_bytes, MAX_REQUEST_BYTES)
        data = self._stream.read(min(max_bytes, self._stream_end - self._position))
        return bytes(data)

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):
                stream.close()
