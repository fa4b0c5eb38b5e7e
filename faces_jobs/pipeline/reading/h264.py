"""Distinguishes the key frames of H.264 that reset the decoder from those that don't."""

from __future__ import annotations

from typing import Any

from av.packet import Packet

_IDR = 5  # NAL unit type; types up to it are slices
_TYPE_MASK = 0x1F  # of the first byte of a NAL unit


def length_bytes(extradata: bytes | None) -> int:
    """Return the size of each NAL unit's length field, as in MP4; 0 if they have start codes."""
    if extradata is None or len(extradata) < 5 or extradata[0] != 1:
        return 0
    return (extradata[4] & 3) + 1


def is_reset(packet: Packet[Any], length_bytes: int) -> bool:
    """Return whether a key frame is an IDR picture: later frames don't refer to earlier ones."""
    data = memoryview(packet)
    if not length_bytes:
        stream = bytes(data)
        at = stream.find(b"\0\0\1")
        while 0 <= at < len(stream) - 3:
            unit_type = stream[at + 3] & _TYPE_MASK
            if 1 <= unit_type <= _IDR:
                return unit_type == _IDR
            at = stream.find(b"\0\0\1", at + 3)
        return False
    at = 0
    while at + length_bytes < len(data):
        unit_type = data[at + length_bytes] & _TYPE_MASK
        if 1 <= unit_type <= _IDR:
            return unit_type == _IDR
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return False
