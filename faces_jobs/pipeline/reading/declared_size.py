"""Reads the size that a media file declares of itself, to detect files that are cut off.

Demuxers that reach the end of a file too early often just stop, as if it had ended there. Most
containers declare their length somewhere, and reading it takes only a few bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from typing import BinaryIO

File = BinaryIO | FileIO

_CHUNK_BYTES = 1024**2
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_AVI_TOLERANCE = 16  # bytes; writers round the size of a RIFF chunk in different ways
_TS_PACKET_BYTES = (188, 192, 204)  # of an MPEG transport stream: plain, M2TS, with parity
_TS_SYNC = 0x47  # the first byte of each packet; M2TS puts a timestamp of 4 bytes before it
_M2TS_PACKET_BYTES, _M2TS_TIMESTAMP_BYTES = 192, 4
_HEAD_BYTES = 64 * 1024
_EBML_HEAD_BYTES = 4096
_MATROSKA_SEGMENT = b"\x18\x53\x80\x67"
_MAX_OGG_PAGE_BYTES, _OGG_HEADER_BYTES = 65307, 27
_INDEXES = frozenset({b"moov", b"moof", b"meta"})
# Top-level boxes that a complete MP4 may have; fragmented files repeat some of them.
_BOXES = _INDEXES | {b"mdat", b"ftyp", b"styp", b"sidx", b"ssix", b"emsg", b"prft"}
_MAX_SECONDS = 1e9  # declared lengths beyond this are noise


@dataclass(frozen=True, slots=True)
class DeclaredSize:
    """The length that a container declares, in bytes and in seconds; None if it doesn't."""

    actual_bytes: int
    bytes: int | None = None
    seconds: float | None = None
    has_index: bool = True  # False: an MP4 without its `moov` box can't be read at all

    @property
    def is_truncated(self) -> bool:
        """Whether the file is shorter than it declares."""
        return self.bytes is not None and self.actual_bytes < self.bytes


def read_declared_size(file: File, name: str) -> DeclaredSize:
    """Read what a file declares; `name` is its demuxer or image format. Seeks to its start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    read = _READERS.get(name)
    try:
        return DeclaredSize(size) if read is None else read(file, size)
    except (struct.error, IndexError):
        return DeclaredSize(size)  # its structure is invalid, which the demuxer will report
    finally:
        file.seek(0)


def _mov(file: File, size: int) -> DeclaredSize:
    """Walk the top-level boxes, of which there are few; reads 16 bytes of each.

    Cameras append data of their own after the last box, which may look like a box header.
    """
    at = 0
    seen: set[bytes] = set()
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        (length,) = struct.unpack(">I", header[:4])
        if length == 1:
            (length,) = struct.unpack(">Q", header[8:16])
        elif length == 0:
            length = size - at
        name = header[4:8]
        is_foreign = at + length > size and name not in _BOXES and b"mdat" in seen
        if length < 8 or (is_foreign and seen & _INDEXES):
            break  # padding, or other data, after the last box
        seen.add(name)
        at += length
    return DeclaredSize(size, at, has_index=bool(seen & {b"moov", b"moof"}))


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """Parse EBML's variable-length integer. Returns its value (None: unknown) and its end."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise IndexError
    value = int.from_bytes(data[at : at + length], "big") & ((1 << (7 * length)) - 1)
    return (None if value == (1 << (7 * length)) - 1 else value), at + length


def _matroska(file: File, size: int) -> DeclaredSize:
    head = file.read(_EBML_HEAD_BYTES)
    header_bytes, at = _vint(head, 4)
    # The Segment holds everything after the header; there may be padding before it.
    at = -1 if header_bytes is None else head.find(_MATROSKA_SEGMENT, at + header_bytes)
    if at < 0:
        return DeclaredSize(size)
    segment_bytes, at = _vint(head, at + len(_MATROSKA_SEGMENT))
    return DeclaredSize(size, None if segment_bytes is None else at + segment_bytes)


def _avi(file: File, size: int) -> DeclaredSize:
    """Add up the RIFF chunks, of which a long AVI has several.

    A length of zero was left by a writer that was interrupted.
    """
    at = 0
    while at + 12 <= size:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in {b"AVI ", b"AVIX"} or not length:
            break
        at += 8 + length + length % 2
    return DeclaredSize(size, at - _AVI_TOLERANCE if at else None)


def _asf(file: File, size: int) -> DeclaredSize:
    head = file.read(_HEAD_BYTES)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0:
        return DeclaredSize(size)
    (length,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    is_broadcast = bool(flags & 1)
    return DeclaredSize(size, None if is_broadcast or not length else length)


def _mpegts(file: File, size: int) -> DeclaredSize:
    """Round up to whole packets, which all have the same length."""
    head = file.read(_HEAD_BYTES)
    for length in _TS_PACKET_BYTES:
        for first in range(min(length, len(head))):
            if all(head[at] == _TS_SYNC for at in range(first, len(head), length)):
                before = _M2TS_TIMESTAMP_BYTES if length == _M2TS_PACKET_BYTES else 0
                packets = -(-(size - first + before) // length)
                return DeclaredSize(size, first - before + packets * length)
    return DeclaredSize(size)


def _ogg(file: File, size: int) -> DeclaredSize:
    """Parse the header of the last page."""
    start = max(0, size - 2 * _MAX_OGG_PAGE_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return DeclaredSize(size)
    body = at + _OGG_HEADER_BYTES
    if body > len(tail) or body + tail[body - 1] > len(tail):
        return DeclaredSize(size, size + 1)  # even the header of the page is cut off
    segment_table = tail[body : body + tail[body - 1]]
    return DeclaredSize(size, start + body + len(segment_table) + sum(segment_table))


def _flv(file: File, size: int) -> DeclaredSize:
    head = file.read(_HEAD_BYTES)
    at = head.find(b"\x00\x08duration\x00")
    if at < 0:
        return DeclaredSize(size)
    (seconds,) = struct.unpack_from(">d", head, at + 11)
    return DeclaredSize(size, seconds=seconds if 0 < seconds < _MAX_SECONDS else None)


def _riff(file: File, size: int) -> DeclaredSize:
    (length,) = struct.unpack("<I", file.read(8)[4:])
    return DeclaredSize(size, 8 + length)


def _png(file: File, size: int) -> DeclaredSize:
    """Walk the chunks up to IEND."""
    at = 8
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if name == b"IEND":
            return DeclaredSize(size, at)
    return DeclaredSize(size, max(at, size + 1))


def _jpeg(file: File, size: int) -> DeclaredSize:
    """Look for the end marker, which may be followed by other data."""
    last = b""
    while chunk := file.read(_CHUNK_BYTES):
        if b"\xff\xd9" in last + chunk:
            return DeclaredSize(size, size)
        last = chunk[-1:]
    return DeclaredSize(size, size + 1)


def _gif(file: File, size: int) -> DeclaredSize:
    """Walk the blocks up to the trailer."""
    header = file.read(13)
    _skip_colour_table(file, header[10])
    while (introducer := file.read(1)) not in {b"", b"\x3b"}:
        if introducer == b"\x21":
            file.seek(1, os.SEEK_CUR)
        elif introducer == b"\x2c":
            descriptor = file.read(9)
            _skip_colour_table(file, descriptor[8] if len(descriptor) == 9 else 0)
            file.seek(1, os.SEEK_CUR)
        else:
            return DeclaredSize(size)  # damaged rather than cut off
        while (length := file.read(1)) not in {b"", b"\0"}:
            file.seek(length[0], os.SEEK_CUR)
    return DeclaredSize(size, size if introducer else size + 1)


def _skip_colour_table(file: File, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << ((flags & 7) + 1), os.SEEK_CUR)


_READERS: dict[str, Callable[[File, int], DeclaredSize]] = {
    "mov": _mov,
    "matroska": _matroska,
    "avi": _avi,
    "asf": _asf,
    "mpegts": _mpegts,
    "ogg": _ogg,
    "flv": _flv,
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _riff,
    "AVIF": _mov,
}
