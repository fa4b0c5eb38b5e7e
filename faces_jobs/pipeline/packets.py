"""Where a packet of a video is not one frame that is shown: hidden frames, and fields."""

from __future__ import annotations

from typing import Any

from av.packet import Packet
from av.video.stream import VideoStream

_VP8_SHOWN = 0x10  # of its first byte; without it a frame is only what others lean on
_PROGRESSIVE = 1  # FFmpeg's AV_FIELD_PROGRESSIVE; 0: unknown, above: interlaced
_FIELD_CODECS = frozenset({"h264", "hevc"})
# Here the two fields of a picture are one packet.
_WHOLE_PICTURES = frozenset({"mov", "matroska"})


def is_hidden(packet: Packet[Any], codec: str) -> bool:
    """Whether no frame is to come of a packet of this codec."""
    if codec != "vp8" or not packet.size:
        return False
    return not memoryview(packet)[0] & _VP8_SHOWN


def may_be_fields(stream: VideoStream, demuxer: str) -> bool:
    """Whether two packets of a stream may make one frame: its pictures are interlaced."""
    codec = stream.codec_context
    is_interlaced = codec.field_order > _PROGRESSIVE
    return is_interlaced and codec.name in _FIELD_CODECS and demuxer not in _WHOLE_PICTURES
