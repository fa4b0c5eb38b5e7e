"""What a key frame of H.264 promises: a beginning, or only to mend in time."""

from __future__ import annotations

from typing import Any

from av.packet import Packet

_IDR = 5  # types of units up to it are slices of pictures
_TYPE = 0x1F  # of a unit's first byte


def length_bytes(extradata: bytes | None) -> int:
    """Bytes of each unit's length, as in MP4 and Matroska. 0: units have start codes."""
    if extradata is None or len(extradata) < 5 or extradata[0] != 1:
        return 0
    return (extradata[4] & 3) + 1


def is_reset(packet: Packet[Any], length_bytes: int) -> bool:
    """Whether a key frame is an IDR picture: from it on nothing before it matters."""
    data = memoryview(packet)
    if not length_bytes:
        text = bytes(data)
        at = text.find(b"\0\0\1")
        while 0 <= at < len(text) - 3:
            kind = text[at + 3] & _TYPE
            if 1 <= kind <= _IDR:
                return kind == _IDR
            at = text.find(b"\0\0\1", at + 3)
        return False
    at = 0
    while at + length_bytes < len(data):
        kind = data[at + length_bytes] & _TYPE
        if 1 <= kind <= _IDR:
            return kind == _IDR
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return False
