"""Where a video can be cut: at key frames, found in its packets without decoding one.

A cut is made only where it changes nothing: the frames of all parts together are those of the
whole, each with the same index and time. Where that can't be told from the packets, none is made.
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

from faces_jobs.pipeline.containers import SourceFile, choose_stream, open_container
from faces_jobs.pipeline.cut_plan import Key, Part, Plan
from faces_jobs.pipeline.declared_size import read_declared_size
from faces_jobs.pipeline.even_cuts import even_cuts
from faces_jobs.pipeline.h264 import is_reset, length_bytes
from faces_jobs.pipeline.packets import is_hidden, may_be_fields

_REPORT_EVERY = 1000


@dataclass(frozen=True, slots=True)
class _KeyPacket:
    """A key frame's packet, `at` its place in the stream."""

    at: int
    key: Key
    resets: bool  # from it on nothing before it matters


class _Packets:
    """What is known of all packets of a stream; memory: nine bytes each."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context
        self.times = array("q")
        self.shown = bytearray()  # 0: an edit list leaves it out
        self.keys: list[_KeyPacket] = []
        self._codec = codec.name
        self._length_bytes = length_bytes(codec.extradata)
        self._last_dts: int | None = None
        self._is_damaged = False

    def add(self, packet: Packet[Any]) -> str:
        """Note one more. Returns why the video can't be cut, if this one shows that."""
        if is_hidden(packet, self._codec):
            return ""
        if packet.pts is None:
            return "its packets tell no times"
        if self._is_damaged:
            return "it is damaged"
        if packet.is_corrupt:
            self._is_damaged = True  # which the last one may be
            return ""
        if packet.dts is not None:
            if self._last_dts is not None and packet.dts <= self._last_dts:
                return "its times go back"
            self._last_dts = packet.dts
        if packet.is_keyframe and not packet.is_discard:
            # Key frames of other codecs are nothing else.
            resets = self._codec != "h264" or is_reset(packet, self._length_bytes)
            key = Key(packet.pts, packet.dts, packet.size)
            self.keys.append(_KeyPacket(len(self.times), key, resets))
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
    """Cut a video into parts of about so many seconds, or shorter ones that share out evenly.

    Args:
        path: the file, which was opened well before.
        demuxer: FFmpeg's name of its container.
        max_pixels: as for `VideoReader`.
        first_pts: of the first frame that is decoded, by the stream's clock.
        seconds: how long a part should be.
        workers: how many there are to share the parts.
        stride: of the frames that are analysed.
        on_progress: called every so many packets; what it raises ends the planning.
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
                return _uncut("its stream tells no times")
            if may_be_fields(stream, demuxer):
                return _uncut("its packets are fields")
            if (stream.duration or 0) * base < seconds and stream.duration:
                return _uncut("it is short")
            packets, reason = _read(container.demux(stream), stream, on_progress)
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
    """All packets; or why they don't tell enough."""
    seen = _Packets(stream)
    for number in itertools.count():
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            break  # it breaks off here, as its last part will tell
        if packet is None:
            break
        if packet.size and (reason := seen.add(packet)):
            return seen, reason
        if number % _REPORT_EVERY == 0:
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
    places = _places(packets, times, first_pts)
    cuts = even_cuts(
        np.array([packets.keys[place].key.pts for place in places], np.int64),
        start=first_pts,
        end=int(shown[-1]),
        length=length,
        workers=workers,
    )
    chosen = [places[cut] for cut in cuts]
    begins: list[tuple[int, Key | None]] = [
        (first_pts, None),
        *((packets.keys[which].key.pts, _seek(packets, times, which)) for which in chosen),
    ]
    if len(begins) == 1:
        return _uncut("it is short, or has no key frame to be cut at")
    return Plan(tuple(_parts(begins, shown, start=start, base=base, stride=stride)))


def _parts(
    begins: Sequence[tuple[int, Key | None]],
    shown: NDArray[np.int64],
    *,
    start: int,
    base: Fraction,
    stride: int,
) -> Iterator[Part]:
    """The parts that begin at these times, of the frames that are shown at those."""
    ends = [pts for pts, _ in begins[1:]]
    for number, ((pts, key), end_pts) in enumerate(zip(begins, [*ends, None], strict=True)):
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


def _places(packets: _Packets, times: NDArray[np.int64], first_pts: int) -> list[int]:
    """The key frames, by their numbers, that a part may begin with.

    All that is stored before such a key frame is shown before it, and all that is stored from
    the next key frame on is shown after it.
    """
    highest = np.maximum.accumulate(times)
    lowest = np.minimum.accumulate(times[::-1])[::-1]  # from each packet on
    places = []
    for which, packet in enumerate(packets.keys):
        pts = packet.key.pts
        follows = not packet.at or highest[packet.at - 1] < pts
        is_last = which + 1 == len(packets.keys)
        precedes = is_last or pts <= lowest[packets.keys[which + 1].at]
        if follows and precedes and pts > first_pts:
            places.append(which)
    return places


def _seek(packets: _Packets, times: NDArray[np.int64], which: int) -> Key:
    """The key frame from which a part is got to that begins with that one."""
    packet = packets.keys[which]
    is_last = which + 1 == len(packets.keys)
    end = len(times) if is_last else packets.keys[which + 1].at
    leads = bool((times[packet.at : end] < packet.key.pts).any())
    # Frames after an open key frame may lean on what was before it: begin one earlier.
    return (packet if packet.resets and not leads else packets.keys[max(0, which - 1)]).key
