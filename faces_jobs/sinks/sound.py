"""The sound of a source, carried into an annotated video: copied where it can be, else as AAC."""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard

from faces_jobs.pipeline.containers import SourceFile, choose_stream, open_container
from faces_jobs.pipeline.declared_size import read_declared_size
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.sinks.aac import AacTrack
from faces_jobs.sinks.restarts import Restarts

# What mp4 takes and browsers play.
COPIED = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "flac"})
AAC_RATES = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
)
USUAL_RATE = 48_000
# An encoder's priming comes up to this long before the picture; players skip it.
PRIMING_SECONDS = Fraction(1, 10)
# Recordings in these can be joined by writing one behind the other, each with its own clock.
JOINABLE = frozenset({"mpegts", "mpeg"})
# Where a recording ends, packets come out in another order than they lie in the file.
PICTURES_AHEAD = 3
MOST_WAITING = 1000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Track:
    source: AudioStream
    target: AudioStream
    encoded: AacTrack | None  # None: its packets are copied
    last_dts: Fraction | None = None  # in seconds


class Sound:
    """The audio tracks of a source, muxed in step with its pictures. Open it with `with`.

    Times are kept relative to the picture's. `delay_seconds` is by how much all of the output
    has to come later since sound begins before the picture, mostly 0. Sound that can't be carried
    over is left out: pictures never fail because of it.
    """

    def __init__(self, source: Path, info: MediaInfo, output: OutputContainer) -> None:
        """Open the source once more and add its audio tracks to the output."""
        self._output = output
        self._origin = info.start_seconds
        self.delay_seconds = Fraction(0)
        self.left_out = 0
        with ExitStack() as opened:
            file = opened.enter_context(SourceFile(source))
            declared = read_declared_size(file, info.format)
            # One pixel: to find the sound no picture need be decoded.
            self._container = open_container(file, info.format, declared, max_pixels=1)
            opened.callback(self._container.close)
            self._restarts = Restarts(info.average_rate)
            self._pictures = choose_stream(self._container) if info.format in JOINABLE else None
            self._tracks: dict[int, _Track] = {}
            for stream in self._container.streams:
                track = self._add_track(stream) if isinstance(stream, AudioStream) else None
                if track is not None:
                    self._tracks[stream.index] = track
                elif stream is not self._pictures:
                    stream.discard = Discard.all
            self._packets = self._read()
            opened.callback(self._packets.close)
            self._next: Packet[AudioStream] | None = None
            if self._tracks:
                self._look_at_start()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def mux_until(self, seconds: float | None) -> None:
        """Mux what is heard before this time of the picture; None: all that is left."""
        while self._next is not None:
            if seconds is not None and self._seconds(self._next) > seconds:
                return
            self._mux(self._next)
            self._next = next(self._packets, None)
        if seconds is None:
            for track in self._tracks.values():
                if track.encoded is not None:
                    for made in track.encoded.finish():
                        self._put(made, track)
                    self.left_out += track.encoded.left_out
            self._tracks.clear()
            if self.left_out:
                _log.warning("packets of sound that could not be carried over: %d", self.left_out)

    def _add_track(self, stream: AudioStream) -> _Track | None:
        context = stream.codec_context
        # PyAV's types don't say that a stream without a decoder has no context.
        if cast("object", context) is None or not context.sample_rate:
            self.left_out += 1
            return None
        encoded = None
        if _is_copied(stream):
            target = self._output.add_stream_from_template(stream)
        else:
            rate = context.sample_rate if context.sample_rate in AAC_RATES else USUAL_RATE
            layout = "mono" if context.channels == 1 else "stereo"
            target = self._output.add_stream("aac", rate=rate, layout=layout)
            encoded = AacTrack(stream, target)
        if stream.language:
            target.metadata["language"] = stream.language
        return _Track(stream, target, encoded)

    def _look_at_start(self) -> None:
        self._next = next(self._packets, None)
        if self._next is not None:
            early = -self._seconds(self._next)
            if early > PRIMING_SECONDS:
                self.delay_seconds = early

    def _read(self) -> Generator[Packet[AudioStream]]:
        """The packets of all tracks, by the clock of the pictures."""
        waiting: deque[tuple[int, Packet[AudioStream]]] = deque()
        pictures, ahead = 0, PICTURES_AHEAD if self._pictures is not None else 0
        for packet in self._stored():
            if packet.stream_index in self._tracks:
                waiting.append((pictures, cast("Packet[AudioStream]", packet)))
            elif self._pictures is not None and packet.stream_index == self._pictures.index:
                self._restarts.see(packet)
                pictures += 1
            while waiting and (waiting[0][0] + ahead <= pictures or len(waiting) > MOST_WAITING):
                yield self._shifted(waiting.popleft()[1])
        while waiting:
            yield self._shifted(waiting.popleft()[1])

    def _stored(self) -> Iterator[Packet[Any]]:
        """The packets that are read and tell a time, as they lie in the file."""
        streams = [track.source for track in self._tracks.values()]
        packets = self._container.demux(
            [*streams, *([] if self._pictures is None else [self._pictures])]
        )
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return  # the source breaks off here; the reader of its pictures tells that
            if packet is None:
                return
            if not packet.size:
                continue
            if packet.pts is not None or packet.dts is not None:
                yield packet
            elif packet.stream_index in self._tracks:
                self.left_out += 1

    def _shifted(self, packet: Packet[AudioStream]) -> Packet[AudioStream]:
        base = packet.time_base
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        shift = round(self._restarts.shift_at(packet.stream_index, ticks * base) / base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        return packet

    def _seconds(self, packet: Packet[AudioStream]) -> Fraction:
        """When a packet is heard, on the picture's clock."""
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        return ticks * packet.time_base - self._origin

    def _mux(self, packet: Packet[AudioStream]) -> None:
        track = self._tracks[packet.stream_index]
        shift = self.delay_seconds - self._origin
        if track.encoded is not None:
            for made in track.encoded.take(packet, shift):
                self._put(made, track)
        elif packet.is_corrupt:
            self.left_out += 1
        else:
            ticks = round(shift / packet.time_base)
            dts = packet.dts if packet.dts is not None else packet.pts or 0
            packet.pts = (packet.pts if packet.pts is not None else dts) + ticks
            packet.dts = dts + ticks
            packet.stream = track.target
            self._put(packet, track)

    def _put(self, packet: Packet[AudioStream], track: _Track) -> None:
        """Mux a packet, unless it begins before the one before it: an mp4's times rise."""
        ticks = packet.dts if packet.dts is not None else packet.pts or 0
        dts = ticks * packet.time_base
        if track.last_dts is not None and dts <= track.last_dts:
            self.left_out += 1
            return
        try:
            self._output.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise  # the disk's, not the packet's
            self.left_out += 1
            return
        track.last_dts = dts


def _is_copied(stream: AudioStream) -> bool:
    """Whether mp4 takes this track as it is: some codecs it takes at some sample rates only."""
    if stream.codec_context.name not in COPIED:
        return False
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True
