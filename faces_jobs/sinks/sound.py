"""The sound of a source, carried into an annotated video: copied where it can be, else as AAC."""

from __future__ import annotations

import io
import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard

from faces_jobs.pipeline.containers import SourceFile, open_container
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.pipeline.wholeness import read_claim

# What mp4 takes and browsers play.
COPIED = frozenset({"aac", "mp3", "mp3float", "opus", "libopus", "flac"})
AAC_RATES = frozenset(
    {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000}
)
USUAL_RATE = 48_000
# An encoder's priming comes up to this long before the picture; players skip it.
PRIMING_SECONDS = Fraction(1, 10)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Track:
    source: AudioStream
    target: AudioStream
    copied: bool
    last_dts: int | None = None


class Sound:
    """The audio tracks of a source, muxed in step with its pictures. Open it with `with`.

    Times are kept relative to the picture's. `delay_seconds` is by how much all of the output
    has to come later since sound begins before the picture, mostly 0.
    """

    def __init__(self, source: Path, info: MediaInfo, output: OutputContainer) -> None:
        """Open the source once more and add its audio tracks to the output."""
        self._output = output
        self._origin = info.start_seconds
        self.delay_seconds = Fraction(0)
        self.left_out = 0
        with ExitStack() as opened:
            file = opened.enter_context(SourceFile(source))
            claim = read_claim(file, info.format)
            # One pixel: to find the sound no picture need be decoded.
            self._container = open_container(file, info.format, claim, max_pixels=1)
            opened.callback(self._container.close)
            self._tracks: dict[int, _Track] = {}
            for stream in self._container.streams:
                track = self._add_track(stream) if isinstance(stream, AudioStream) else None
                if track is None:
                    stream.discard = Discard.all
                else:
                    self._tracks[stream.index] = track
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
                if not track.copied:
                    self._output.mux(track.target.encode(None))
            self._tracks.clear()
            if self.left_out:
                _log.warning("packets of sound that could not be carried over: %d", self.left_out)

    def _add_track(self, stream: AudioStream) -> _Track | None:
        context = stream.codec_context
        # PyAV's types don't say that a stream without a decoder has no context.
        if cast("object", context) is None or not context.sample_rate:
            self.left_out += 1
            return None
        copied = _is_copied(stream)
        if copied:
            target = self._output.add_stream_from_template(stream)
        else:
            rate = context.sample_rate if context.sample_rate in AAC_RATES else USUAL_RATE
            layout = "mono" if context.channels == 1 else "stereo"
            target = self._output.add_stream("aac", rate=rate, layout=layout)
        if stream.language:
            target.metadata["language"] = stream.language
        return _Track(stream, target, copied)

    def _look_at_start(self) -> None:
        self._next = next(self._packets, None)
        if self._next is not None:
            early = -self._seconds(self._next)
            if early > PRIMING_SECONDS:
                self.delay_seconds = early

    def _read(self) -> Generator[Packet[AudioStream]]:
        packets = self._container.demux([track.source for track in self._tracks.values()])
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                return  # the source breaks off here; the reader of its pictures tells that
            if packet is None:
                return
            if packet.size and packet.stream_index in self._tracks:
                ours = cast("Packet[AudioStream]", packet)
                if ours.pts is None and ours.dts is None:
                    self.left_out += 1
                    continue
                yield ours

    def _seconds(self, packet: Packet[AudioStream]) -> Fraction:
        """When a packet is heard, on the picture's clock."""
        ticks = packet.pts if packet.pts is not None else packet.dts or 0
        return ticks * packet.time_base - self._origin

    def _mux(self, packet: Packet[AudioStream]) -> None:
        track = self._tracks[packet.stream_index]
        if track.copied:
            self._copy(packet, track)
            return
        try:
            frames = track.source.decode(packet)
        except av.error.FFmpegError:
            self.left_out += 1
            return
        for frame in frames:
            for encoded in self._encode(frame, track):
                self._output.mux(encoded)

    def _copy(self, packet: Packet[AudioStream], track: _Track) -> None:
        shift = round((self.delay_seconds - self._origin) / packet.time_base)
        dts = packet.dts if packet.dts is not None else packet.pts or 0
        # An mp4's times rise; a source made of joined recordings may begin anew.
        if packet.is_corrupt or (track.last_dts is not None and dts <= track.last_dts):
            self.left_out += 1
            return
        track.last_dts = dts
        packet.dts = dts + shift
        packet.pts = (packet.pts if packet.pts is not None else dts) + shift
        packet.stream = track.target
        self._output.mux(packet)

    def _encode(self, frame: AudioFrame, track: _Track) -> Iterator[Packet[AudioStream]]:
        base = frame.time_base or track.source.time_base
        if frame.pts is None or base is None:
            self.left_out += 1
            return
        rate = Fraction(1, frame.sample_rate)
        frame.pts = round((frame.pts * base + self.delay_seconds - self._origin) / rate)
        frame.time_base = rate
        yield from track.target.encode(frame)


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
