"""Joins the annotated parts of a video without re-encoding, and adds the source's sound."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.sinks.sound import Sound
from faces_jobs.sinks.video import check_pause, naming_pauses, output_tick
from faces_jobs.storage import raising_storage_full

# Stores timestamps of any time base exactly, whatever their start; MP4 and Matroska round them.
PART_FORMAT = "nut"
PART_SUFFIX = ".nut"
PROGRESS_EVERY_PACKETS = 250


def join_parts(
    parts: Sequence[Path],
    path: Path,
    *,
    info: MediaInfo,
    source: Path,
    last_duration_ms: float,
    on_progress: Callable[[], None],
) -> int:
    """Write the pictures of these parts to one mp4 file, in order. Returns their number.

    Args:
        parts: files that `AnnotatedVideo` wrote in `PART_FORMAT`, in order of time.
        path: of the file to write.
        info: of the source.
        source: the file whose sound is added, if it has any.
        last_duration_ms: how long the last picture is shown.
        on_progress: called regularly; an error that it raises ends the work.

    Raises:
        NotCuttableError: the parts were encoded differently, or their times overlap.
        StorageFullError: the disk is full.
        MediaError: a picture comes too long after those before it.
    """
    tick = output_tick(info)
    times = _Times.of(
        _read_times(parts, tick, on_progress), round(Fraction(last_duration_ms) / 1000 / tick)
    )
    check_pause(int(np.diff(times.shown).max(initial=0)), tick)
    with ExitStack() as opened, raising_storage_full():
        output = opened.enter_context(
            av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        )
        with av.open(str(parts[0]), format=PART_FORMAT) as first:
            stream = output.add_stream_from_template(first.streams.video[0])
        stream.time_base = tick
        sound = None
        if info.has_audio:
            sound = opened.enter_context(Sound(source, info, output))
        delay = 0 if sound is None else round(sound.delay_seconds / tick)
        for number, packet in enumerate(_packets(parts)):
            pts = _ticks(packet, tick)
            packet.stream = stream
            packet.time_base = tick
            packet.pts = pts + delay
            packet.dts = times.decoded(number) + delay
            packet.duration = times.duration(number)
            with naming_pauses():
                output.mux(packet)
            if sound is not None:
                sound.mux_until(float(pts * tick))
            if number % PROGRESS_EVERY_PACKETS == 0:
                on_progress()
        if sound is not None:
            sound.mux_until(None)
    return len(times)


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """When pictures are shown and decoded, in ticks; they are numbered in decoding order."""

    shown: NDArray[np.int64]  # presentation times, ascending
    places: NDArray[np.intp]  # of each picture, its index in `shown`
    reorder_depth: int  # most pictures by which one is decoded before its place in `shown`
    last_duration: int

    @classmethod
    def of(cls, times: NDArray[np.int64], last_duration: int) -> Self:
        """Create it from presentation times in decoding order.

        Raises:
            NotCuttableError: two pictures have the same time.
        """
        order = np.argsort(times, kind="stable")
        shown = times[order]
        if (np.diff(shown) == 0).any():
            raise NotCuttableError("two pictures of the annotated parts have the same time")
        places = np.argsort(order)
        reorder_depth = int((np.arange(len(times)) - places).max())
        return cls(shown, places, reorder_depth, last_duration)

    def __len__(self) -> int:
        return len(self.shown)

    def decoded(self, number: int) -> int:
        """Return a picture's decoding time: the presentation time `reorder_depth` pictures back."""
        shown, depth = self.shown, self.reorder_depth
        if number >= depth:
            return int(shown[number - depth])
        # Before the first presentation time: spaced like the first pictures.
        lead = int(shown[depth] - shown[0])
        return int(shown[number]) - max(lead, depth)

    def duration(self, number: int) -> int:
        """Return a picture's duration; the last one decoded lasts until the end of the video.

        MP4 adds up durations in decoding order.
        """
        shown, place = self.shown, int(self.places[number])
        if number + 1 == len(shown):
            elapsed = self.decoded(number) - self.decoded(0)
            return max(1, int(shown[-1] - shown[0]) + self.last_duration - elapsed)
        if place + 1 == len(shown):
            return self.last_duration
        return int(shown[place + 1] - shown[place])


def _read_times(
    parts: Sequence[Path], tick: Fraction, on_progress: Callable[[], None]
) -> NDArray[np.int64]:
    """Read the times of all pictures, in ticks and decoding order; check that the parts match."""
    times = array("q")
    latest: int | None = None
    headers = set()
    for path in parts:
        with av.open(str(path), format=PART_FORMAT) as container:
            stream = container.streams.video[0]
            headers.add((stream.codec_context.extradata, stream.width, stream.height))
            part = [_ticks(packet, tick) for packet in _non_empty(container.demux(stream))]
        if part and latest is not None and min(part) <= latest:
            raise NotCuttableError("the times of two annotated parts overlap")
        latest = max(part, default=latest)
        times.extend(part)
        on_progress()
    if len(headers) > 1:
        raise NotCuttableError("the annotated parts were encoded differently")
    if not times:
        raise NotCuttableError("the annotated parts contain no picture")
    return np.frombuffer(times, np.int64)


def _packets(parts: Sequence[Path]) -> Iterator[Packet[VideoStream]]:
    for path in parts:
        with av.open(str(path), format=PART_FORMAT) as container:
            yield from _non_empty(container.demux(container.streams.video[0]))


def _non_empty(packets: Iterator[Any]) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in packets if packet.size)


def _ticks(packet: Packet[VideoStream], tick: Fraction) -> int:
    if packet.pts is None:
        raise NotCuttableError("a picture of an annotated part has no time")
    return round(packet.pts * packet.time_base / tick)
