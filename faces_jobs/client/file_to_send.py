"""A file to upload that is open only while it is read."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


class FileToSend(io.RawIOBase):
    """A file object for httpx that opens its file at the first read and closes it at the end.

    A submission may have more files than a process may have open at a time. What others append to
    the file meanwhile is not sent.

    Raises:
        OSError: the file can't be read; raised at once, before anything is sent.
    """

    def __init__(self, path: Path, *, on_read: Callable[[int], object] | None = None) -> None:
        """Open the file at `path` when it is first read; `on_read` gets each number of bytes."""
        super().__init__()
        self._path = path
        self._on_read = on_read
        self._file: BinaryIO | None = None
        with path.open("rb") as file:
            self._bytes = file.seek(0, io.SEEK_END)
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move relative to the start or the end: httpx does so to learn the file's length."""
        self._position = offset if whence == io.SEEK_SET else self._bytes + offset
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read the next bytes. At the end the file is closed.

        Raises:
            OSError: the file became shorter meanwhile, or can't be read any more.
        """
        if self._file is None:
            self._file = self._path.open("rb")
            self._file.seek(self._position)
        left = self._bytes - self._position
        chunk = self._file.read(left if size < 0 else min(size, left))
        self._position += len(chunk)
        if not chunk:
            self._close_file()
            if left:
                reason = "it became shorter while it was being sent; send it again"
                raise OSError(errno.EIO, reason, self._path)
        elif self._on_read is not None:
            self._on_read(len(chunk))
        return chunk

    def close(self) -> None:
        """Close the file if it was not read to its end."""
        self._close_file()
        super().close()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
