"""Small valid PNG files, built without libraries so that tests of the web need no media library."""

from __future__ import annotations

import io
import struct
import zlib
from typing import BinaryIO

XSS = "<img src=x onerror=alert(1)>"  # a file name, or any text, that must be shown as it is


def png(width: int = 8, height: int = 8, shade: int = 128) -> bytes:
    """A PNG of a single gray shade (0 to 255)."""
    rows = b"".join(b"\0" + bytes([shade]) * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def upload(name: str = "face.png", shade: int = 128) -> tuple[BinaryIO, str]:
    """A PNG as the test client accepts files: (file object, name)."""
    return io.BytesIO(png(shade=shade)), name


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
