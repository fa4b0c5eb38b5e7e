"""Recognises the packets of a video that don't hold exactly one shown frame."""

from __future__ import annotations

from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

_VP8_SHOW_FRAME = 0x10  # in the first byte; unset in frames that only serve as references
_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE; 0 is unknown, larger values are interlaced
_FIELD_CODECS = frozenset({"h264", "hevc"})
# In these containers both fields of a picture are in one packet.
_WHOLE_PICTURES = frozenset({"mov", "matroska"})


def is_hidden(packet: Packet[Any], codec: str) -> bool:
    """Return whether a packet of this codec gives no frame to show."""
    if codec != "vp8" or not packet.size:
        return False
    return not memoryview(packet)[0] & _VP8_SHOW_FRAME


def may_be_fields(stream: VideoStream, demuxer: str) -> bool:
    """Return whether each packet may hold only one of the two fields of an interlaced frame."""
    codec = stream.codec_context
    is_interlaced = codec.field_order > _PROGRESSIVE
    return is_interlaced and codec.name in _FIELD_CODECS and demuxer not in _WHOLE_PICTURES
