"""How much of a file its own structure announces, to tell one that broke off from one that ended.

Demuxers that reach the end of a file too early often just stop, as if it had ended there. Most
containers say somewhere how long they are, and reading that takes a few bytes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from typing import BinaryIO

File = BinaryIO | FileIO

_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_AVI_SLACK = 16  # bytes; writers round a RIFF's size in different ways
_TRANSPORT_PACKETS = (188, 192, 204)
_HEAD = 64 * 1024
_INDEXES = frozenset({b"moov", b"moof", b"meta"})
# Of an MP4 that is all there; in fragments some of them come again and again.
_BOXES = _INDEXES | {b"mdat", b"ftyp", b"styp", b"sidx", b"ssix", b"emsg", b"prft"}
_LONGEST_SECONDS = 1e9  # beyond it a length is noise


@dataclass(frozen=True, slots=True)
class DeclaredSize:
    """What a container says of itself: its bytes and seconds, each None where it says nothing."""

    actual_bytes: int
    bytes: int | None = None
    seconds: float | None = None
    has_index: bool = True  # False: an MP4 without its `moov` box can't be read at all

    @property
    def is_truncated(self) -> bool:
        """True when the file is shorter than its structure announces."""
        return self.bytes is not None and self.actual_bytes < self.bytes


def read_declared_size(file: File, name: str) -> DeclaredSize:
    """Read what a file of this demuxer or image format claims; leaves it at its start."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    read = _READERS.get(name)
    try:
        return DeclaredSize(size) if read is None else read(file, size)
    except (struct.error, IndexError):
        return DeclaredSize(size)  # its structure is broken: the demuxer will say how
    finally:
        file.seek(0)


def _mov(file: File, size: int) -> DeclaredSize:
    """Walk the boxes of the top level. Reads 16 bytes a box, and a file has few.

    Cameras write notes of their own behind the last box, which may look like the head of one.
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
            break  # padding, or a note, after the last box
        seen.add(name)
        at += length
    return DeclaredSize(size, at, has_index=bool(seen & {b"moov", b"moof"}))


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """EBML's variable-length integer: its value (None: unknown) and where it ends."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise IndexError
    value = int.from_bytes(data[at : at + length], "big") & ((1 << (7 * length)) - 1)
    return (None if value == (1 << (7 * length)) - 1 else value), at + length


def _matroska(file: File, size: int) -> DeclaredSize:
    head = file.read(4096)
    header_bytes, at = _vint(head, 4)
    # The Segment holds all that follows; there may be padding before it.
    at = -1 if header_bytes is None else head.find(b"\x18\x53\x80\x67", at + header_bytes)
    if at < 0:
        return DeclaredSize(size)
    segment_bytes, at = _vint(head, at + 4)
    return DeclaredSize(size, None if segment_bytes is None else at + segment_bytes)


def _avi(file: File, size: int) -> DeclaredSize:
    """Sum of the RIFF chunks: a long AVI has several. Zero was left by a writer that broke off."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        name, length, kind = struct.unpack("<4sI4s", file.read(12))
        if name != b"RIFF" or kind not in {b"AVI ", b"AVIX"} or not length:
            break
        at += 8 + length + length % 2
    return DeclaredSize(size, at - _AVI_SLACK if at else None)


def _asf(file: File, size: int) -> DeclaredSize:
    head = file.read(_HEAD)
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0:
        return DeclaredSize(size)
    (length,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    is_broadcast = bool(flags & 1)
    return DeclaredSize(size, None if is_broadcast or not length else length)


def _mpegts(file: File, size: int) -> DeclaredSize:
    """Packets have one length, so the last one is whole or the file broke off."""
    head = file.read(_HEAD)
    for length in _TRANSPORT_PACKETS:
        for first in range(min(length, len(head))):
            if all(head[at] == 0x47 for at in range(first, len(head), length)):
                before = 4 if length == 192 else 0
                packets = -(-(size - first + before) // length)
                return DeclaredSize(size, first - before + packets * length)
    return DeclaredSize(size)


def _ogg(file: File, size: int) -> DeclaredSize:
    """Where the last page should end."""
    start = max(0, size - 2 * 65307)  # the longest page
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return DeclaredSize(size)
    if at + 27 > len(tail) or at + 27 + tail[at + 26] > len(tail):
        return DeclaredSize(size, size + 1)  # not even the page's header is whole
    table = tail[at + 27 : at + 27 + tail[at + 26]]
    return DeclaredSize(size, start + at + 27 + len(table) + sum(table))


def _flv(file: File, size: int) -> DeclaredSize:
    head = file.read(_HEAD)
    at = head.find(b"\x00\x08duration\x00")
    if at < 0:
        return DeclaredSize(size)
    (seconds,) = struct.unpack_from(">d", head, at + 11)
    return DeclaredSize(size, seconds=seconds if 0 < seconds < _LONGEST_SECONDS else None)


def _riff(file: File, size: int) -> DeclaredSize:
    (length,) = struct.unpack("<I", file.read(8)[4:])
    return DeclaredSize(size, 8 + length)


def _png(file: File, size: int) -> DeclaredSize:
    """Walk the chunks to IEND."""
    at = 8
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        at += 12 + length
        if name == b"IEND":
            return DeclaredSize(size, at)
    return DeclaredSize(size, max(at, size + 1))


def _jpeg(file: File, size: int) -> DeclaredSize:
    """A whole JPEG holds its end marker, mostly at its end."""
    return DeclaredSize(size, size if b"\xff\xd9" in file.read() else size + 1)


def _gif(file: File, size: int) -> DeclaredSize:
    """Walk the blocks to the trailer."""
    header = file.read(13)
    _skip_colours(file, header[10])
    while (introducer := file.read(1)) not in {b"", b"\x3b"}:
        if introducer == b"\x21":
            file.seek(1, os.SEEK_CUR)
        elif introducer == b"\x2c":
            place = file.read(9)
            _skip_colours(file, place[8] if len(place) == 9 else 0)
            file.seek(1, os.SEEK_CUR)
        else:
            return DeclaredSize(size)  # damaged rather than short
        while (length := file.read(1)) not in {b"", b"\0"}:
            file.seek(length[0], os.SEEK_CUR)
    return DeclaredSize(size, size if introducer else size + 1)


def _skip_colours(file: File, flags: int) -> None:
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
