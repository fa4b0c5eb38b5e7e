"""Reads the frames of a video file with PyAV: upright, with square pixels and stream times."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import av.error
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from faces_jobs.errors import NoVideoError, TruncatedError
from faces_jobs.pipeline.reading.clock import StreamClock
from faces_jobs.pipeline.reading.containers import (
    SourceFile,
    choose_stream,
    demux,
    open_container,
    reason_of,
    tagged_end,
)
from faces_jobs.pipeline.reading.damage import Damage
from faces_jobs.pipeline.reading.declared_size import read_declared_size
from faces_jobs.pipeline.reading.hdr import PQ, as_sdr
from faces_jobs.pipeline.reading.interlaced import without_combs
from faces_jobs.pipeline.reading.packets import is_hidden, may_be_fields
from faces_jobs.pipeline.reading.pictures import (
    Orientation,
    check_frame_size,
    fit,
    on_white,
    square_width,
)
from faces_jobs.pipeline.values import Frame, LazyPicture, MediaInfo, Picture

# FLV and Matroska declare the length in seconds, which writers round.
MAX_SHORTFALL_SECONDS = 1.0
MAX_RATE = 1000  # frames per second; anything above is not a frame rate
# Of the size in the header over that of the first frame: recorded video calls grow by a third.
MIN_GROWTH = 1.2
MAX_SHAPE_DIFFERENCE = 0.02  # relative, between the aspect ratios of header and first frame
# Demuxers that pad a truncated last packet without marking it as corrupt.
_PADDING_DEMUXERS = frozenset({"asf"})
_HD_HEIGHT = 720  # players assume BT.709 from this height on if a video doesn't name its colours
_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's AVCOL_SPC_BT709 and AVCOL_SPC_UNSPECIFIED

_log = logging.getLogger(__name__)


class VideoReader:
    """A `FrameReader` for the video stream of a file. Open it with `with`; iterate it once.

    Memory: one decoded frame besides the few that the codec keeps.
    """

    def __init__(self, path: Path, demuxer: str, *, max_pixels: int) -> None:
        """Open the file, check its header, and decode its first frame.

        Raises:
            NoVideoError: the file has no video stream, or no frame of it can be decoded.
            FrameSizeError: the frames have no pixels, or more than `max_pixels`.
            TruncatedError: the file is cut off before the end of its first frame.
            MediaError: the file can't be read; the message says why.
        """
        self._path = path
        self._demuxer = demuxer
        self._max_pixels = max_pixels
        with ExitStack() as opened:
            self._open(opened)
            self._damage = Damage(fields=may_be_fields(self._stream, demuxer))
            self._decoded = self._decode(demux(self._container))
            opened.callback(self._decoded.close)
            self._first = next(self._decoded, None)
            if self._first is None:
                raise NoVideoError("The video has no frame that can be decoded: convert it to MP4.")
            self._orientation = _orientation(self._first)
            self._start = _start(self._stream, self._first)
            self._declared_seconds = self._read_declared_seconds()
            self._info = self._describe(*self._shown_size(self._first))
            self._opened = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        """Open the container and set up the decoder, without decoding anything."""
        file = opened.enter_context(SourceFile(self._path))
        self._declared = read_declared_size(file, self._demuxer)
        self._container = open_container(
            file, self._demuxer, self._declared, max_pixels=self._max_pixels
        )
        opened.callback(self._container.close)
        self._stream = choose_stream(self._container)
        # Kept, because decoding overwrites it with the size of the current frame.
        self._header_wh = self._stream.width, self._stream.height
        check_frame_size(*self._header_wh, max_pixels=self._max_pixels)
        self._stream.codec_context.thread_count = 1  # each thread holds another frame
        self._stream.codec_context.options = {"max_pixels": str(self._max_pixels)}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._opened.close()

    @property
    def info(self) -> MediaInfo:
        """The properties of the video; all frames have this width and height."""
        return self._info

    @property
    def damaged_frames(self) -> int:
        """How many frames were left out, or are incomplete, because of damaged packets, so far."""
        return self._damage.frames

    @property
    def first_pts(self) -> int | None:
        """The timestamp of the first decoded frame; None if its stream has none."""
        return None if self._first is None else self._first.pts

    def __iter__(self) -> Iterator[Frame]:
        """Yield every decoded frame once, in order of time.

        All have the same size and square pixels: a frame of another size is scaled, as players do.

        Raises:
            TruncatedError: the file ends before its stream does; raised after the last whole frame.
            FrameSizeError: a later frame has more pixels than the limit.
        """
        yield from self._frames_of(self._decoded_once(), first_index=0, to_end=True)

    def _frames_of(
        self, decoded_frames: Iterator[VideoFrame], *, first_index: int, to_end: bool
    ) -> Iterator[Frame]:
        """Assign index and time to decoded frames; `to_end` checks that none is missing."""
        clock = StreamClock(
            time_base=_time_base(self._stream),
            start=self._start,
            rate=_rate(self._stream),
            # MP4 stores durations in decoding order, so they may not match the shown frames.
            length=self._stream.duration if self._demuxer == "mov" else None,
        )
        truncated: TruncatedError | None = None
        try:
            for index, decoded in enumerate(decoded_frames, first_index):
                ticks, duration = clock.place(decoded.pts, decoded.duration)
                yield Frame(
                    index=index,
                    time_ms=clock.milliseconds(ticks),
                    picture=LazyPicture(partial(self._fitted, decoded)),
                    duration_ms=clock.milliseconds(duration),
                    is_key=bool(decoded.key_frame),
                )
        except TruncatedError as error:
            truncated = error
        self._damage.finish()
        if self.damaged_frames:
            _log.warning(
                "%d damaged frames of a video were left out or are incomplete", self.damaged_frames
            )
        if to_end and truncated is None and self._declared_seconds is not None:
            shortfall = self._declared_seconds - clock.milliseconds(clock.end) / 1000
            if shortfall > MAX_SHORTFALL_SECONDS:
                truncated = TruncatedError(
                    f"The file ends {shortfall:.1f} seconds before its video does: "
                    "send the complete file again."
                )
        if truncated is not None:
            raise truncated

    def _decoded_once(self) -> Iterator[VideoFrame]:
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError("a reader's frames can be read once; open the file again")
        yield first
        yield from self._decoded

    def _decode(self, packets: Iterator[Packet[Any]]) -> Generator[VideoFrame]:
        """Decode packet by packet. Damage is counted, but at the end it counts as truncation."""
        held: Packet[VideoStream] | None = None  # incomplete, so dropped if it is the last one
        last_is_whole = True
        reason = ""
        while True:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError as error:
                reason = reason_of(error)
                break
            if packet is None:
                break
            if not packet.size:
                continue  # an empty packet would flush the decoder
            last_is_whole = not packet.is_corrupt
            if packet.stream_index != self._stream.index:
                continue
            if held is not None:
                yield from self._decode_packet(held)
            video_packet = cast("Packet[VideoStream]", packet)
            may_be_padded = self._declared.is_truncated and self._demuxer in _PADDING_DEMUXERS
            held = video_packet if packet.is_corrupt or may_be_padded else None
            if held is None:
                yield from self._decode_packet(video_packet)
        is_proven_whole = self._declared.bytes is not None and not self._declared.is_truncated
        is_truncated = (
            bool(reason) or self._declared.is_truncated or not (last_is_whole or is_proven_whole)
        )
        if held is not None and not is_truncated:
            yield from self._decode_packet(held)
        yield from self._decode_packet(None)
        if is_truncated:
            raise TruncatedError(
                "The file is cut off before the end of its video"
                f"{f' ({reason})' if reason else ''}: send the complete file again."
            )

    def _decode_packet(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        """Yield the frames that a packet completes; None flushes the decoder."""
        if packet is not None and not is_hidden(packet, self._stream.codec_context.name):
            self._damage.packet_sent(packet)
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError:
            # The codec itself rejects frames above the limit, which is not damage.
            context = self._stream.codec_context
            if context.width and context.height:
                check_frame_size(context.width, context.height, max_pixels=self._max_pixels)
            if packet is not None:
                self._damage.packet_rejected(packet)
            return
        for frame in frames:
            self._damage.frame_decoded(frame)
            check_frame_size(frame.width, frame.height, max_pixels=self._max_pixels)
            yield frame

    def _read_declared_seconds(self) -> float | None:
        """Return the length that the file declares of the video; None if it doesn't."""
        if self._demuxer != "matroska":
            return self._declared.seconds
        end = tagged_end(self._container, self._stream)
        return None if end is None else end - float((self._start or 0) * _time_base(self._stream))

    def _shown_size(self, first: VideoFrame) -> tuple[int, int]:
        """Return the width and height of the upright frames with square pixels.

        Raises:
            FrameSizeError: they have more pixels than the limit.
        """
        width, height = first.width, first.height
        if _grows(first, self._header_wh):
            width, height = self._header_wh
        context = self._stream.codec_context
        width = square_width(width, self._stream.sample_aspect_ratio or context.sample_aspect_ratio)
        check_frame_size(width, height, max_pixels=self._max_pixels)
        return (height, width) if self._orientation.transposed else (width, height)

    def _fitted(self, decoded: VideoFrame) -> Picture:
        return fit(self._picture(decoded), self._info.width, self._info.height)

    def _picture(self, decoded: VideoFrame) -> Picture:
        colours: dict[str, Any] = {"src_color_range": decoded.color_range, "threads": 1}
        if decoded.colorspace == _UNSPECIFIED and decoded.height >= _HD_HEIGHT:
            colours["src_colorspace"] = _BT709
        has_alpha = any(part.is_alpha for part in decoded.format.components)
        name = "bgra" if has_alpha or decoded.format.name == "pal8" else "bgr24"
        pixels = np.asarray(decoded.to_ndarray(format=name, **colours), np.uint8)
        pixels = on_white(pixels) if name == "bgra" else pixels
        pixels = without_combs(pixels) if decoded.interlaced_frame else pixels
        return self._orientation.apply(as_sdr(pixels) if decoded.color_trc == PQ else pixels)

    def _describe(self, width: int, height: int) -> MediaInfo:
        stream, container = self._stream, self._container
        rate, time_base = _rate(stream), _time_base(stream)
        duration_ms: float | None = None
        if stream.duration:
            duration_ms = float(stream.duration * time_base * 1000)
        elif container.duration:
            duration_ms = container.duration / 1000  # in microseconds
        count = stream.frames or None
        if count is None and duration_ms and rate:
            count = max(1, round(duration_ms / 1000 * rate))
        return MediaInfo(
            kind="video",
            format=self._demuxer,
            width=width,
            height=height,
            frame_count=count,
            duration_ms=duration_ms,
            average_rate=rate,
            has_audio=bool(container.streams.audio),
            time_base=time_base,
            start_seconds=(self._start or 0) * time_base,
        )


def _orientation(frame: VideoFrame) -> Orientation:
    try:
        parts = list(cast("Iterable[SideData]", frame.side_data))
    except ValueError:  # FFmpeg has kinds of side data that PyAV doesn't know
        return Orientation.from_degrees(frame.rotation)
    for part in parts:
        if part.type is SideDataType.DISPLAYMATRIX:
            return Orientation.from_display_matrix(bytes(part))
    return Orientation()


def _grows(first: VideoFrame, header_wh: tuple[int, int]) -> bool:
    """Whether the first frame is a smaller version of the size in the header.

    Recorded video calls start small and grow to that size. Headers that differ by the cropping of
    a codec, or in shape, are ignored.
    """
    width, height = header_wh
    growth = width / first.width
    return growth >= MIN_GROWTH and abs(height / first.height / growth - 1) < MAX_SHAPE_DIFFERENCE


def _start(stream: VideoStream, first: VideoFrame) -> int | None:
    """The timestamp at which the stream starts; None if it has no timestamps."""
    known = [ticks for ticks in (stream.start_time, first.pts) if ticks is not None]
    return min(known, default=None)


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _rate(stream: VideoStream) -> Fraction | None:
    """Frames per second; some demuxers report the rate of their ticks instead, which is ignored."""
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in rates if rate and rate <= MAX_RATE), None)
