"""Where a video can be cut: at key frames, found in its packets without decoding one.

A cut is made only where it changes nothing: the frames of all parts together are those of the
whole, each with the same index and time. Where that can't be told from the packets, none is made.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av.error
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream

from faces_jobs.pipeline.containers import SourceFile, choose_stream, open_container
from faces_jobs.pipeline.wholeness import read_claim

# A part may be shorter than asked for by this much where a key frame comes just before its end.
_SHORTEST = 0.8
# In these codecs a key frame need not be a place where nothing before it matters; see `_is_reset`.
_SOFT_KEYS = frozenset({"h264"})
_H264_IDR = 5


class NotCuttableError(Exception):
    """The parts of a video don't fit together: it has to be read in one. Never leaves a worker."""


@dataclass(frozen=True, slots=True)
class Key:
    """The packet at which decoding begins, told from others by its time and size."""

    pts: int
    dts: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A run of frames of one video, and how to get to it.

    Its frames are those with `start_pts` <= time < `end_pts` (None: to the end of the file), by
    the clock of the stream. `key` None: it begins where the file does.
    """

    number: int  # from 0
    first_frame: int
    frames: int  # that the packets announce; the last part may turn out to have more
    start_pts: int
    end_pts: int | None = None
    key: Key | None = None
    # Time of the last frame before it that the options' stride would take.
    sampled_ms: float | None = None

    @property
    def is_last(self) -> bool:
        """Whether it reaches to the end of the file, whatever that is."""
        return self.end_pts is None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """From JSON."""
        key = document["key"]
        return cls(**{**document, "key": None if key is None else Key(**key)})


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a video in order: one, with the reason, where it can't or need not be cut."""

    parts: tuple[Part, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A packet of the video stream."""

    pts: int
    dts: int | None
    size: int
    is_key: bool
    is_shown: bool  # False: an edit list leaves it out
    is_reset: bool  # a key frame from which on nothing before it matters


def plan_parts(
    path: Path,
    demuxer: str,
    *,
    max_pixels: int,
    first_pts: int | None,
    seconds: float,
    stride: int = 1,
) -> Plan:
    """Cut a video into parts of about so many seconds.

    Args:
        path: the file, which was opened well before.
        demuxer: FFmpeg's name of its container.
        max_pixels: as for `VideoReader`.
        first_pts: of the first frame that is decoded, by the stream's clock.
        seconds: how long a part should be.
        stride: of the frames that are analysed.
    """
    with SourceFile(path) as file:
        claim = read_claim(file, demuxer)
        container = open_container(file, demuxer, claim, max_pixels=max_pixels)
        with container:
            stream = choose_stream(container)
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = Discard.all
            base, start = stream.time_base, stream.start_time
            if base is None or first_pts is None:
                return _uncut("its stream tells no times")
            if (stream.duration or 0) * base < seconds and stream.duration:
                return _uncut("it is short")
            packets, reason = _read(container.demux(stream), stream)
    if reason and not packets:
        return _uncut(reason)
    return _plan(
        packets,
        first_pts=first_pts,
        start=first_pts if start is None else min(start, first_pts),
        base=base,
        seconds=seconds,
        stride=stride,
    )


def _uncut(reason: str) -> Plan:
    return Plan((), reason)


def _read(packets: Any, stream: VideoStream) -> tuple[list[_Seen], str]:
    """The packets; none, with the reason, where they don't tell all. The last may be damaged."""
    seen: list[_Seen] = []
    codec = stream.codec_context.name
    prefix = _length_bytes(stream.codec_context.extradata) if codec in _SOFT_KEYS else 0
    last_dts: int | None = None
    is_damaged = False
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return seen, "it breaks off"
        if packet is None:
            return seen, "it has no packet"
        if not packet.size:
            continue
        if packet.pts is None:
            return [], "its packets tell no times"
        if is_damaged:
            return [], "it is damaged"
        if packet.is_corrupt:
            is_damaged = True
            continue
        if packet.dts is not None:
            if last_dts is not None and packet.dts <= last_dts:
                return [], "its times go back"
            last_dts = packet.dts
        is_key = bool(packet.is_keyframe)
        seen.append(
            _Seen(
                pts=packet.pts,
                dts=packet.dts,
                size=packet.size,
                is_key=is_key,
                is_shown=not packet.is_discard,
                is_reset=is_key and (codec not in _SOFT_KEYS or _is_reset(packet, prefix)),
            )
        )


def _plan(
    packets: Sequence[_Seen],
    *,
    first_pts: int,
    start: int,
    base: Fraction,
    seconds: float,
    stride: int,
) -> Plan:
    shown = sorted(each.pts for each in packets if each.is_shown and each.pts >= first_pts)
    if not shown:
        return _uncut("it has no frame that is shown")
    if any(one == other for one, other in itertools.pairwise(shown)):
        return _uncut("two of its frames have the same time")
    least = math.ceil(seconds * _SHORTEST / base)
    before, after = _highest_before(packets), _lowest_after_next_key(packets)
    keys = [at for at, each in enumerate(packets) if each.is_key]
    begins: list[tuple[int, Key | None]] = [(first_pts, None)]
    for which, at in enumerate(keys):
        packet = packets[at]
        fits = packet.is_shown and before[at] < packet.pts <= after[at]
        long_enough = packet.pts - begins[-1][0] >= least and shown[-1] - packet.pts >= least / 2
        if not fits or not long_enough:
            continue
        end = keys[which + 1] if which + 1 < len(keys) else len(packets)
        leads = any(each.pts < packet.pts for each in packets[at + 1 : end])
        from_here = packet.is_reset and not leads
        # Frames after an open key frame may lean on what was before it: begin one earlier.
        seek = packet if from_here else packets[keys[max(0, which - 1)]]
        begins.append((packet.pts, Key(seek.pts, seek.dts, seek.size)))
    if len(begins) == 1:
        return _uncut("it is short, or has no key frame to be cut at")
    parts = []
    for number, (pts, key) in enumerate(begins):
        end_pts = begins[number + 1][0] if number + 1 < len(begins) else None
        first = bisect_left(shown, pts)
        last = len(shown) if end_pts is None else bisect_left(shown, end_pts)
        sampled = (first - 1) // stride * stride
        parts.append(
            Part(
                number=number,
                first_frame=first,
                frames=last - first,
                start_pts=pts,
                end_pts=end_pts,
                key=key,
                sampled_ms=float((shown[sampled] - start) * base * 1000) if first else None,
            )
        )
    return Plan(tuple(parts))


def _highest_before(packets: Sequence[_Seen]) -> list[float]:
    """For each packet the highest time of those stored before it."""
    times = itertools.accumulate((each.pts for each in packets), max)
    return [-math.inf, *times][: len(packets)]


def _lowest_after_next_key(packets: Sequence[_Seen]) -> list[float]:
    """For each packet the lowest time of those stored from the key frame after it on."""
    lowest: list[float] = []
    running = from_key = math.inf
    for each in reversed(packets):
        lowest.append(from_key)
        running = min(running, each.pts)
        if each.is_key:
            from_key = running
    return lowest[::-1]


def _length_bytes(extradata: bytes | None) -> int:
    """Of H.264 in MP4 and Matroska: bytes of each unit's length. 0: units have start codes."""
    if extradata is None or len(extradata) < 5 or extradata[0] != 1:
        return 0
    return (extradata[4] & 3) + 1


def _is_reset(packet: Packet[VideoStream], length_bytes: int) -> bool:
    """Whether an H.264 key frame is an IDR picture; others only promise to mend in time."""
    data = memoryview(packet)
    if not length_bytes:
        text = bytes(data)
        at = text.find(b"\0\0\1")
        while 0 <= at < len(text) - 3:
            kind = text[at + 3] & 0x1F
            if 1 <= kind <= _H264_IDR:
                return kind == _H264_IDR
            at = text.find(b"\0\0\1", at + 3)
        return False
    at = 0
    while at + length_bytes < len(data):
        kind = data[at + length_bytes] & 0x1F
        if 1 <= kind <= _H264_IDR:
            return kind == _H264_IDR
        at += length_bytes + int.from_bytes(data[at : at + length_bytes], "big")
    return False
