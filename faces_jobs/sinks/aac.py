"""Transcodes one audio track to AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

# Containers round timestamps, and Ogg's are up to 15 ms off where Vorbis changes the length of its
# packets, so a frame may start a little before its predecessor ends.
MAX_OVERLAP_SECONDS = Fraction(1, 50)


class AacTrack:
    """Transcodes the packets of an audio track, even if its format changes or its times overlap.

    A broadcast may change from stereo to surround, and recordings that were joined may overlap:
    frames are resampled to one layout and rate, and those that overlap earlier ones are dropped.
    """

    def __init__(self, source: AudioStream, target: AudioStream) -> None:
        """Decode `source` and encode to `target`; the caller owns both streams."""
        self._source = source
        self._target = target
        self._resampler: AudioResampler | None = None
        self._resampled: tuple[str, str, int] | None = None  # format, layout, rate of its input
        self._end: Fraction | None = None  # of the last frame, in seconds
        self.dropped = 0  # packets and frames

    def encode(self, packet: Packet[AudioStream], shift: Fraction) -> Iterator[Packet[AudioStream]]:
        """Transcode the next packet, whose times are moved by `shift` seconds."""
        try:
            frames = self._source.decode(packet)
        except av.error.FFmpegError:
            self.dropped += 1
            return
        for frame in frames:
            try:
                yield from self._encode_frame(frame, shift)
            except (av.error.FFmpegError, ValueError):
                self.dropped += 1

    def flush(self) -> list[Packet[AudioStream]]:
        """Return the packets that the encoder still holds."""
        try:
            frames = [*self._flush_resampler(), None]
            return [encoded for frame in frames for encoded in self._target.encode(frame)]
        except (av.error.FFmpegError, ValueError):
            self.dropped += 1
            return []

    def _encode_frame(self, frame: AudioFrame, shift: Fraction) -> list[Packet[AudioStream]]:
        base = frame.time_base or self._source.time_base
        if frame.pts is None or base is None or not frame.samples:
            self.dropped += 1
            return []
        tick = Fraction(1, frame.sample_rate)
        start = frame.pts * base + shift
        if self._end is not None and start < self._end - max(base, MAX_OVERLAP_SECONDS):
            self.dropped += 1
            return []
        # A frame that is stamped too late may end after the next one.
        self._end = max(self._end or start, start + frame.samples * tick)
        frame.pts, frame.time_base = round(start / tick), tick
        return [
            encoded
            for resampled in self._resample(frame)
            for encoded in self._target.encode(resampled)
        ]

    def _resample(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Convert a frame to the encoder's format; flush first if the source's format changed."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampled != kind:
            yield from self._flush_resampler()
            target = self._target.codec_context
            self._resampler = AudioResampler(target.format, target.layout, target.sample_rate)
            self._resampled = kind
        if self._resampler is not None:
            yield from self._resampler.resample(frame)

    def _flush_resampler(self) -> Iterator[AudioFrame]:
        """Return the frames that the resampler still holds."""
        frames = [] if self._resampler is None else self._resampler.resample(None)
        # Where frames pass through unchanged PyAV returns the None, contrary to its type hints.
        return (frame for frame in cast("list[AudioFrame | None]", frames) if frame is not None)
