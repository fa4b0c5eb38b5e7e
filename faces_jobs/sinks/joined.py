"""Annotated parts of a video, put together without encoding anything again, and with its sound."""

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

from faces_jobs.pipeline.cuts import NotCuttableError
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.sinks.sound import Sound
from faces_jobs.sinks.video import output_tick
from faces_jobs.storage import raising_storage_full

# Keeps times of any clock to the tick, wherever they begin; MP4 and Matroska round where.
PART_FORMAT = "nut"
PART_SUFFIX = ".nut"
REPORT_EVERY = 250


def join_parts(
    parts: Sequence[Path],
    path: Path,
    *,
    info: MediaInfo,
    source: Path,
    last_duration_ms: float,
    on_progress: Callable[[], None],
) -> int:
    """Write an mp4 of the pictures of these parts, in order. Returns how many there are.

    Args:
        parts: files that `AnnotatedVideo` wrote in `PART_FORMAT`, of times that follow each other.
        path: of the file to be made.
        info: of the source.
        source: the file whose sound is taken, where it has any.
        last_duration_ms: how long the last picture is shown.
        on_progress: called every so often; what it raises ends the work.

    Raises:
        NotCuttableError: they were encoded in different ways, or their times meet.
        StorageFullError: there is no room.
    """
    tick = output_tick(info)
    times = _Times.of(
        _read_times(parts, tick, on_progress), round(Fraction(last_duration_ms) / 1000 / tick)
    )
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
            packet.dts = times.stored(number) + delay
            packet.duration = times.duration(number)
            output.mux(packet)
            if sound is not None:
                sound.mux_until(float(pts * tick))
            if number % REPORT_EVERY == 0:
                on_progress()
        if sound is not None:
            sound.mux_until(None)
    return len(times)


@dataclass(frozen=True, slots=True, eq=False)
class _Times:
    """When pictures are shown and stored, in ticks; they have numbers in the order of storage."""

    shown: NDArray[np.int64]  # in the order of showing
    places: NDArray[np.intp]  # of each picture among those
    wait: int  # what decoders have to: stored before it is shown by at most so many pictures
    last_duration: int

    @classmethod
    def of(cls, times: NDArray[np.int64], last_duration: int) -> Self:
        """Of pictures that are shown at these times, as stored.

        Raises:
            NotCuttableError: two have the same.
        """
        order = np.argsort(times, kind="stable")
        shown = times[order]
        if (np.diff(shown) == 0).any():
            raise NotCuttableError("two pictures of the annotated parts have the same time")
        places = np.argsort(order)
        wait = int((np.arange(len(times)) - places).max())
        return cls(shown, places, wait, last_duration)

    def __len__(self) -> int:
        return len(self.shown)

    def stored(self, number: int) -> int:
        """When a picture is decoded: as many before it is shown as are waited for."""
        shown, wait = self.shown, self.wait
        if number >= wait:
            return int(shown[number - wait])
        # Before the first: as far apart as the first ones are.
        ahead = int(shown[min(wait, len(shown) - 1)] - shown[0])
        return int(shown[min(number, len(shown) - 1)]) - max(ahead, wait)

    def duration(self, number: int) -> int:
        """How long a picture is shown; the last one that is stored lasts until the end.

        MP4 adds up durations as stored.
        """
        shown, place = self.shown, int(self.places[number])
        if number + 1 == len(shown):
            lasted = self.stored(number) - self.stored(0)
            return max(1, int(shown[-1] - shown[0]) + self.last_duration - lasted)
        if place + 1 == len(shown):
            return self.last_duration
        return int(shown[place + 1] - shown[place])


def _read_times(
    parts: Sequence[Path], tick: Fraction, on_progress: Callable[[], None]
) -> NDArray[np.int64]:
    """The times of all pictures as stored, in ticks; the parts are seen to be alike."""
    times = array("q")
    latest: int | None = None
    headers = set()
    for path in parts:
        with av.open(str(path), format=PART_FORMAT) as container:
            stream = container.streams.video[0]
            headers.add((stream.codec_context.extradata, stream.width, stream.height))
            part = [_ticks(packet, tick) for packet in _sized(container.demux(stream))]
        if part and latest is not None and min(part) <= latest:
            raise NotCuttableError("the times of two annotated parts meet")
        latest = max(part, default=latest)
        times.extend(part)
        on_progress()
    if len(headers) > 1:
        raise NotCuttableError("the annotated parts were encoded in different ways")
    if not times:
        raise NotCuttableError("the annotated parts hold no picture")
    return np.frombuffer(times, np.int64)


def _packets(parts: Sequence[Path]) -> Iterator[Packet[VideoStream]]:
    for path in parts:
        with av.open(str(path), format=PART_FORMAT) as container:
            yield from _sized(container.demux(container.streams.video[0]))


def _sized(packets: Iterator[Any]) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in packets if packet.size)


def _ticks(packet: Packet[VideoStream], tick: Fraction) -> int:
    if packet.pts is None:
        raise NotCuttableError("a picture of an annotated part has no time")
    return round(packet.pts * packet.time_base / tick)
