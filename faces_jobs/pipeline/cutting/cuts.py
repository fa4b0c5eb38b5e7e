"""Plans how to cut a video into parts at key frames, from its packets and without decoding.

Cuts must not change the result: the parts together have the same frames as the whole video, with
the same indices and times. If the packets can't guarantee that, the video is not cut.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.packet import Packet
from av.stream import Discard
from av.video.stream import VideoStream
from numpy.typing import NDArray

from faces_jobs.pipeline.cutting.even_cuts import even_cuts
from faces_jobs.pipeline.cutting.plan import Key, Part, Plan
from faces_jobs.pipeline.reading.containers import (
    SourceFile,
    choose_stream,
    demux,
    open_container,
)
from faces_jobs.pipeline.reading.declared_size import read_declared_size
from faces_jobs.pipeline.reading.h264 import is_reset, length_bytes
from faces_jobs.pipeline.reading.packets import is_hidden, may_be_fields

# About; fourteen hours at ten seconds each. A worker stores and rings for all parts of a video at
# once, which keeps everybody else waiting meanwhile.
MAX_PARTS = 5000
_PACKETS_PER_REPORT = 1000


@dataclass(frozen=True, slots=True)
class _KeyPacket:
    """The packet of a key frame."""

    index: int  # in the stream, in decoding order
    key: Key
    is_reset: bool  # whether all later packets can be decoded without those before it


class _Packets:
    """The times and key frames of a stream's packets. Memory: nine bytes per packet."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context
        self.times = array("q")
        self.shown = bytearray()  # 0 for packets that an edit list excludes
        self.keys: list[_KeyPacket] = []
        self._codec = codec.name
        self._length_bytes = length_bytes(codec.extradata)
        self._last_dts: int | None = None
        self._is_damaged = False

    def add(self, packet: Packet[Any]) -> str:
        """Add the next packet. Returns why the video can't be cut because of it, or ""."""
        if is_hidden(packet, self._codec):
            return ""
        if packet.pts is None:
            return "its packets have no timestamps"
        if self._is_damaged:
            return "it is damaged"
        if packet.is_corrupt:
            self._is_damaged = True  # no reason not to cut if it is the last packet
            return ""
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts <= self._last_dts:
                return "its timestamps go back"
            self._last_dts = packet.dts
        if packet.is_keyframe and not packet.is_discard:
            # In other codecs every key frame is a reset.
            resets = self._codec != "h264" or is_reset(packet, self._length_bytes)
            key = Key(packet.pts, packet.dts, packet.size)
            self.keys.append(_KeyPacket(len(self.times), key, is_reset=resets))
        self.times.append(packet.pts)
        self.shown.append(not packet.is_discard)
        return ""


def plan_parts(
    path: Path,
    demuxer: str,
    *,
    max_pixels: int,
    first_pts: int | None,
    seconds: float,
    workers: int = 1,
    stride: int = 1,
    on_progress: Callable[[], None] = lambda: None,
) -> Plan:
    """Plan parts of about `seconds`, or shorter ones that can be shared more evenly by workers.

    Parts are longer if there would be more than `MAX_PARTS`, as in a film of days.

    Args:
        path: the file, which `VideoReader` can open.
        demuxer: the name of FFmpeg's demuxer for it.
        max_pixels: as for `VideoReader`.
        first_pts: the timestamp of the first decoded frame, in the stream's time base.
        seconds: the wanted length of a part.
        workers: how many workers will share the parts.
        stride: every how many frames one is analysed.
        on_progress: called every now and then; an exception that it raises ends the planning.
    """
    with SourceFile(path) as file:
        declared = read_declared_size(file, demuxer)
        container = open_container(file, demuxer, declared, max_pixels=max_pixels)
        with container:
            stream = choose_stream(container)
            for other in container.streams:
                if other.index != stream.index:
                    other.discard = Discard.all
            base, start = stream.time_base, stream.start_time
            if base is None or first_pts is None:
                return _uncut("its stream has no timestamps")
            if may_be_fields(stream, demuxer):
                return _uncut("its packets are fields")
            if (stream.duration or 0) * base < seconds and stream.duration:
                return _uncut("it is short")
            packets, reason = _read(demux(container, stream), stream, on_progress)
    if reason:
        return _uncut(reason)
    return _plan(
        packets,
        first_pts=first_pts,
        start=first_pts if start is None else min(start, first_pts),
        base=base,
        length=float(seconds / base),
        workers=workers,
        stride=stride,
    )


def _uncut(reason: str) -> Plan:
    return Plan((), reason)


def _read(
    packets: Iterator[Packet[Any]], stream: VideoStream, on_progress: Callable[[], None]
) -> tuple[_Packets, str]:
    """Read all packets, unless one of them is a reason not to cut the video; returns it as well."""
    seen = _Packets(stream)
    for number in itertools.count():
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            break  # the file is cut off here, which the reader of the last part reports
        if packet is None:
            break
        if packet.size and (reason := seen.add(packet)):
            return seen, reason
        if number % _PACKETS_PER_REPORT == 0:
            on_progress()
    return seen, ""


def _plan(
    packets: _Packets,
    *,
    first_pts: int,
    start: int,
    base: Fraction,
    length: float,
    workers: int,
    stride: int,
) -> Plan:
    times = np.frombuffer(packets.times, np.int64)
    is_shown = np.frombuffer(packets.shown, np.uint8).astype(bool)
    shown = np.sort(times[is_shown & (times >= first_pts)])
    if not len(shown):
        return _uncut("it has no frame that is shown")
    if (np.diff(shown) == 0).any():
        return _uncut("two of its frames have the same time")
    candidates = _candidates(packets, times, first_pts)
    end = int(shown[-1])
    cuts = even_cuts(
        np.array([packets.keys[index].key.pts for index in candidates], np.int64),
        start=first_pts,
        end=end,
        length=max(length, (end - first_pts) / MAX_PARTS),
        workers=workers,
    )
    chosen = [candidates[cut] for cut in cuts]
    starts: list[tuple[int, Key | None]] = [
        (first_pts, None),
        *((packets.keys[index].key.pts, _seek_target(packets, times, index)) for index in chosen),
    ]
    if len(starts) == 1:
        return _uncut("it is short, or has no suitable key frame")
    return Plan(tuple(_parts(starts, shown, start=start, base=base, stride=stride)))


def _parts(
    starts: Sequence[tuple[int, Key | None]],
    shown: NDArray[np.int64],
    *,
    start: int,
    base: Fraction,
    stride: int,
) -> Iterator[Part]:
    """Yield the parts that start at these timestamps; `shown` are those of all frames."""
    ends = [pts for pts, _ in starts[1:]]
    for number, ((pts, key), end_pts) in enumerate(zip(starts, [*ends, None], strict=True)):
        first = int(np.searchsorted(shown, pts))
        last = len(shown) if end_pts is None else int(np.searchsorted(shown, end_pts))
        sampled = int(shown[(first - 1) // stride * stride]) if first else 0
        yield Part(
            number=number,
            first_frame=first,
            frames=last - first,
            start_pts=pts,
            end_pts=end_pts,
            key=key,
            sampled_ms=float((sampled - start) * base * 1000) if first else None,
        )


def _candidates(packets: _Packets, times: NDArray[np.int64], first_pts: int) -> list[int]:
    """Return the indices, into `packets.keys`, of the key frames at which a part may start.

    All packets stored before such a key frame are shown before it, and all packets stored from
    the next key frame on are shown after it.
    """
    latest = np.maximum.accumulate(times)  # up to each packet
    earliest = np.minimum.accumulate(times[::-1])[::-1]  # from each packet on
    candidates = []
    for index, packet in enumerate(packets.keys):
        pts = packet.key.pts
        follows = not packet.index or latest[packet.index - 1] < pts
        is_last = index + 1 == len(packets.keys)
        precedes = is_last or pts <= earliest[packets.keys[index + 1].index]
        if follows and precedes and pts > first_pts:
            candidates.append(index)
    return candidates


def _seek_target(packets: _Packets, times: NDArray[np.int64], index: int) -> Key:
    """Return the key frame to seek to for a part that starts at the key frame of this index."""
    packet = packets.keys[index]
    is_last = index + 1 == len(packets.keys)
    end = len(times) if is_last else packets.keys[index + 1].index
    has_leading_frames = bool((times[packet.index : end] < packet.key.pts).any())
    if packet.is_reset and not has_leading_frames:
        return packet.key
    # In an open GOP, frames may refer to frames before its key frame: start one key frame earlier.
    return packets.keys[max(0, index - 1)].key
