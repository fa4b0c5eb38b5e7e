"""Adds the source's sound to an annotated video: copied where possible, else transcoded to AAC."""

from __future__ import annotations

import io
import logging
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, cast

import av
import av.error
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard

from faces_jobs.pipeline.reading.containers import (
    SourceFile,
    choose_stream,
    demux,
    open_container,
)
from faces_jobs.pipeline.reading.declared_size import read_declared_size
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.sinks.aac import AacTrack
from faces_jobs.sinks.restarts import Restarts

# Codecs that mp4 supports and browsers play.
COPIED_CODECS = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "flac"})
AAC_RATES = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
)
DEFAULT_SAMPLE_RATE = 48_000
# Encoder priming starts up to this long before the picture; players skip it.
PRIMING_SECONDS = Fraction(1, 10)
# In these formats recordings can be concatenated, each with its own clock.
CONCATENABLE_FORMATS = frozenset({"mpegts", "mpeg"})
# At the end of a recording the demuxer returns packets in another order than that of the file: an
# audio packet waits for this many pictures before its recording is determined.
LOOKAHEAD_PICTURES = 3
MAX_WAITING_PACKETS = 1000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Track:
    source: AudioStream
    target: AudioStream
    transcoder: AacTrack | None  # None: packets are copied
    has_begun: bool = False
    last_dts: Fraction | None = None  # in seconds


class Sound:
    """Muxes the audio tracks of a source in sync with its pictures. Open it with `with`.

    Times stay relative to the picture's. `delay_seconds`, mostly 0, is by how much the whole output
    must be delayed because sound starts before the picture. Sound that can be neither copied nor
    transcoded is dropped: the video never fails because of it.
    """

    def __init__(self, source: Path, info: MediaInfo, output: OutputContainer) -> None:
        """Open the source once more and add its audio tracks to the output."""
        self._output = output
        self._start_seconds = info.start_seconds
        self.delay_seconds = Fraction(0)
        self.dropped = 0  # packets and tracks
        with ExitStack() as opened:
            file = opened.enter_context(SourceFile(source))
            declared = read_declared_size(file, info.format)
            # One pixel: no picture needs to be decoded to read the sound.
            self._container = open_container(file, info.format, declared, max_pixels=1)
            opened.callback(self._container.close)
            self._restarts = Restarts(info.average_rate)
            self._pictures = (
                choose_stream(self._container) if info.format in CONCATENABLE_FORMATS else None
            )
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
                self._read_first()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    def mux_until(self, seconds: float | None) -> None:
        """Mux the sound before this time of the picture; None: all that is left."""
        while self._next is not None:
            if seconds is not None and self._seconds(self._next) > seconds:
                return
            self._transcode_or_copy(self._next)
            self._next = next(self._packets, None)
        if seconds is None:
            for track in self._tracks.values():
                if track.transcoder is not None:
                    for encoded in track.transcoder.flush():
                        self._mux_packet(encoded, track)
                    self.dropped += track.transcoder.dropped
            self._tracks.clear()
            if self.dropped:
                _log.warning("audio packets dropped from the annotated video: %d", self.dropped)

    def _add_track(self, stream: AudioStream) -> _Track | None:
        context = stream.codec_context
        # Contrary to PyAV's type hints, a stream without a decoder has no context.
        if cast("object", context) is None or not context.sample_rate:
            self.dropped += 1
            return None
        transcoder = None
        if _can_be_copied(stream):
            target = self._output.add_stream_from_template(stream)
        else:
            rate = context.sample_rate if context.sample_rate in AAC_RATES else DEFAULT_SAMPLE_RATE
            layout = "mono" if context.channels == 1 else "stereo"
            target = self._output.add_stream("aac", rate=rate, layout=layout)
            transcoder = AacTrack(stream, target)
        if stream.language:
            target.metadata["language"] = stream.language
        return _Track(stream, target, transcoder)

    def _read_first(self) -> None:
        """Read the first packet; delay the output if it is too early to be priming."""
        self._next = next(self._packets, None)
        if self._next is not None and not self._next.is_discard:
            early = -self._seconds(self._next)
            if early > PRIMING_SECONDS:
                self.delay_seconds = early

    def _read(self) -> Generator[Packet[AudioStream]]:
        """Yield the packets of all tracks, shifted to the clock of the pictures."""
        waiting: deque[tuple[int, Packet[AudioStream]]] = deque()
        pictures, lookahead = 0, LOOKAHEAD_PICTURES if self._pictures is not None else 0
        for packet in self._demux():
            track = self._tracks.get(packet.stream_index)
            if track is not None:
                if not track.has_begun:
                    _remove_padding(packet, track.source)
                    track.has_begun = True
                waiting.append((pictures, cast("Packet[AudioStream]", packet)))
            elif self._pictures is not None and packet.stream_index == self._pictures.index:
                self._restarts.add_picture(packet)
                pictures += 1
            while waiting and (
                waiting[0][0] + lookahead <= pictures or len(waiting) > MAX_WAITING_PACKETS
            ):
                yield self._shifted(waiting.popleft()[1])
        while waiting:
            yield self._shifted(waiting.popleft()[1])

    def _demux(self) -> Iterator[Packet[Any]]:
        """Yield the packets that have a timestamp, in the order of the file."""
        streams = [track.source for track in self._tracks.values()]
        pictures = [] if self._pictures is None else [self._pictures]
        packets = demux(self._container, *streams, *pictures)
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return  # the rest is unreadable; the reader of the pictures reports that
            if packet is None:
                return
            if not packet.size or self._is_cut_away(packet):
                continue
            if packet.pts is not None or packet.dts is not None:
                yield packet
            elif packet.stream_index in self._tracks:
                self.dropped += 1

    def _is_cut_away(self, packet: Packet[Any]) -> bool:
        """Whether an edit list excludes the packet, as in a video trimmed on a phone.

        What comes right before the picture stays: decoders need it, and players skip it.
        """
        # A single packet of AAC may last longer than other priming: 0.13 s at 8 kHz.
        kept_seconds = max(PRIMING_SECONDS, (packet.duration or 0) * packet.time_base)
        return packet.is_discard and not -kept_seconds <= self._seconds(packet) < 0

    def _shifted(self, packet: Packet[AudioStream]) -> Packet[AudioStream]:
        base = packet.time_base
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        shift = round(self._restarts.shift_at(packet.stream_index, ticks * base) / base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        return packet

    def _seconds(self, packet: Packet[Any]) -> Fraction:
        """Return the presentation time of a packet, from the start of the picture."""
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        return ticks * packet.time_base - self._start_seconds

    def _transcode_or_copy(self, packet: Packet[AudioStream]) -> None:
        track = self._tracks[packet.stream_index]
        shift = self.delay_seconds - self._start_seconds
        if track.transcoder is not None:
            for encoded in track.transcoder.encode(packet, shift):
                self._mux_packet(encoded, track)
        elif packet.is_corrupt:
            self.dropped += 1
        else:
            ticks = round(shift / packet.time_base)
            dts = packet.dts if packet.dts is not None else packet.pts or 0
            packet.pts = (packet.pts if packet.pts is not None else dts) + ticks
            packet.dts = dts + ticks
            packet.stream = track.target
            self._mux_packet(packet, track)

    def _mux_packet(self, packet: Packet[AudioStream], track: _Track) -> None:
        """Mux a packet, or drop it if it is not later than the last: mp4 requires rising times."""
        ticks = packet.dts if packet.dts is not None else packet.pts or 0
        dts = ticks * packet.time_base
        if track.last_dts is not None and dts <= track.last_dts:
            self.dropped += 1
            return
        try:
            self._output.mux(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, OSError):
                raise  # an error of the disk, not of the packet
            self.dropped += 1
            return
        track.last_dts = dts


def _remove_padding(packet: Packet[Any], stream: AudioStream) -> None:
    """Let the first packet of AAC begin later, if it lasts longer than its samples.

    Fragmented MP4 stretches it, since it can't say that the pictures begin later. In the copy,
    which can, players would skip as much sound.
    """
    context = stream.codec_context
    if context.name != "aac" or packet.dts is None or packet.pts is None or not packet.duration:
        return
    samples = Fraction(context.frame_size or 0, context.sample_rate)
    padding = packet.duration - round(samples / packet.time_base)
    if samples and padding > 0:
        packet.pts, packet.dts = packet.pts + padding, packet.dts + padding
        packet.duration -= padding


def _can_be_copied(stream: AudioStream) -> bool:
    """Whether mp4 supports this track unchanged: for some codecs only at some sample rates."""
    if stream.codec_context.name not in COPIED_CODECS:
        return False
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError):
        return False
    return True
