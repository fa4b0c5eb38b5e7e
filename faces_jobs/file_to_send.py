"""A file that a client sends: open only while it is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO


class FileToSend(io.RawIOBase):
    """What httpx takes for an open file: a process may not open as many as it may send."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: BinaryIO | None = None
        with path.open("rb") as file:  # what can't be read is told before anything is sent
            self._bytes = file.seek(0, io.SEEK_END)
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to the start or the end: all that httpx asks for, to learn how long the file is."""
        self._at = offset if whence == io.SEEK_SET else self._bytes + offset
        return self._at

    def tell(self) -> int:
        """Where it is, in bytes."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """What comes next; the file is closed at its end."""
        if self._file is None:
            self._file = self._path.open("rb")
            self._file.seek(self._at)
        chunk = self._file.read(size)
        self._at += len(chunk)
        if not chunk:
            self._let_go()
        return chunk

    def close(self) -> None:
        """Close it where it was not read to its end."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
