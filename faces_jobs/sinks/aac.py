"""One track of sound that is decoded and encoded again, as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av.error
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.packet import Packet

# Containers round times, so a frame may begin a little before the one before it ended.
OVERLAP_SECONDS = Fraction(1, 50)


class AacTrack:
    """Makes packets of one track out of those of another, whatever its frames turn into.

    A broadcast changes from stereo to surround, recordings that were joined overlap: frames are
    brought to the layout and rate of the first, and what was heard already is left out.
    """

    def __init__(self, source: AudioStream, target: AudioStream) -> None:
        """`source` is decoded, `target` encoded; both are the caller's."""
        self._source = source
        self._target = target
        self._resampler: AudioResampler | None = None
        self._taken: tuple[str, str, int] | None = None  # what the resampler was made for
        self._end: Fraction | None = None  # of the last frame, in seconds
        self.left_out = 0

    def take(self, packet: Packet[AudioStream], shift: Fraction) -> Iterator[Packet[AudioStream]]:
        """What comes of one more packet; it is heard `shift` seconds later than its file says."""
        try:
            frames = self._source.decode(packet)
        except av.error.FFmpegError:
            self.left_out += 1
            return
        for frame in frames:
            try:
                yield from self._encode(frame, shift)
            except (av.error.FFmpegError, ValueError):
                self.left_out += 1

    def finish(self) -> list[Packet[AudioStream]]:
        """What the encoder still holds."""
        try:
            return [made for frame in [*self._held(), None] for made in self._target.encode(frame)]
        except (av.error.FFmpegError, ValueError):
            self.left_out += 1
            return []

    def _encode(self, frame: AudioFrame, shift: Fraction) -> list[Packet[AudioStream]]:
        base = frame.time_base or self._source.time_base
        if frame.pts is None or base is None or not frame.samples:
            self.left_out += 1
            return []
        tick = Fraction(1, frame.sample_rate)
        begin, length = frame.pts * base + shift, frame.samples * tick
        if self._end is not None and begin < self._end - min(OVERLAP_SECONDS, length / 2):
            self.left_out += 1
            return []
        self._end = begin + length
        frame.pts, frame.time_base = round(begin / tick), tick
        return [made for even in self._alike(frame) for made in self._target.encode(even)]

    def _alike(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """The frame as the encoder takes it, and what was left of those before a change."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._taken != kind:
            yield from self._held()
            wanted = self._target.codec_context
            self._resampler = AudioResampler(wanted.format, wanted.layout, wanted.sample_rate)
            self._taken = kind
        if self._resampler is not None:
            yield from self._resampler.resample(frame)

    def _held(self) -> Iterator[AudioFrame]:
        """What the resampler still holds: nothing where it has nothing to do."""
        frames = [] if self._resampler is None else self._resampler.resample(None)
        # PyAV gives back the None where frames go through as they are; its types don't say so.
        return (frame for frame in cast("list[AudioFrame | None]", frames) if frame is not None)
