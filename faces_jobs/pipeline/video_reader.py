"""Frames of a video file, upright, with the times of its stream, read by PyAV."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av.error
import numpy as np
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from faces_jobs.errors import NoVideoError, TruncatedError
from faces_jobs.pipeline.clock import StreamClock
from faces_jobs.pipeline.containers import SourceFile, choose_stream, open_container, reason_of
from faces_jobs.pipeline.damage import Damage
from faces_jobs.pipeline.declared_size import read_declared_size
from faces_jobs.pipeline.hdr import PQ, as_sdr
from faces_jobs.pipeline.packets import is_hidden, may_be_fields
from faces_jobs.pipeline.pictures import Orientation, check_frame_size, fit, on_white, square_width
from faces_jobs.pipeline.values import Frame, LazyPicture, MediaInfo, Picture

# An FLV has no length in bytes, only one in seconds, which writers round.
SHORTFALL_SECONDS = 1.0
HIGHEST_RATE = 1000
GROWTH = 1.2  # calls grow by a third at least
SHAPE_DIFFERENCE = 0.02
# Demuxers that fill up what is missing of a last packet and don't mark it.
_UNMARKED = frozenset({"asf"})
_HD_HEIGHT = 720  # from here on players take a video that names no colours for BT.709
_BT709, _UNSPECIFIED = 1, 2  # FFmpeg's AVCOL_SPC_BT709 and AVCOL_SPC_UNSPECIFIED

_log = logging.getLogger(__name__)


class VideoReader:
    """A `FrameReader` over the video stream of a file. Open it with `with`; iterate it once.

    Memory: one decoded frame beside those that the codec itself keeps, which are few.
    """

    def __init__(self, path: Path, demuxer: str, *, max_pixels: int) -> None:
        """Open the file, check its header, then decode its first frame.

        Raises:
            NoVideoError: no video stream, or no frame in it.
            FrameSizeError: no pixels, or more than `max_pixels`; nothing was decoded.
            TruncatedError: it breaks off before its first frame is whole.
            MediaError: it can't be read, with the reason.
        """
        self._path = path
        self._demuxer = demuxer
        self._max_pixels = max_pixels
        with ExitStack() as opened:
            self._open(opened)
            self._damage = Damage(fields=may_be_fields(self._stream, demuxer))
            self._decoded = self._decode(self._container.demux())
            opened.callback(self._decoded.close)
            self._first = next(self._decoded, None)
            if self._first is None:
                raise NoVideoError("The video has no frame that can be decoded: convert it to MP4.")
            self._orientation = _orientation(self._first)
            self._start = _start(self._stream, self._first)
            self._info = self._describe(*self._shown_size(self._first))
            self._opened = opened.pop_all()

    def _open(self, opened: ExitStack) -> None:
        """Open the container and set its decoder up; nothing is decoded yet."""
        file = opened.enter_context(SourceFile(self._path))
        self._declared = read_declared_size(file, self._demuxer)
        self._container = open_container(
            file, self._demuxer, self._declared, max_pixels=self._max_pixels
        )
        opened.callback(self._container.close)
        self._stream = choose_stream(self._container)
        # Decoding makes it the size of the frame in hand.
        self._header_wh = self._stream.width, self._stream.height
        check_frame_size(*self._header_wh, max_pixels=self._max_pixels)
        self._stream.codec_context.thread_count = 1  # every further one would keep a frame more
        self._stream.codec_context.options = {"max_pixels": str(self._max_pixels)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    @property
    def info(self) -> MediaInfo:
        """What the header says; width and height are what all frames have."""
        return self._info

    @property
    def damaged_frames(self) -> int:
        """Frames left out, or shown in part, because their packets are damaged; so far."""
        return self._damage.frames

    @property
    def first_pts(self) -> int | None:
        """The time of the first decoded frame by its stream, None where that knows no times."""
        return None if self._first is None else self._first.pts

    def __iter__(self) -> Iterator[Frame]:
        """Yield every decoded frame once, in order of time.

        All have one size and square pixels: a frame of another size is scaled, as players do.

        Raises:
            TruncatedError: after the last whole frame, if the file ends before its stream does.
            FrameSizeError: a later frame has more pixels than the limit.
        """
        yield from self._place(self._frames_once(), first_index=0, to_end=True)

    def _place(
        self, decoded_frames: Iterator[VideoFrame], *, first_index: int, to_end: bool
    ) -> Iterator[Frame]:
        """Give decoded frames their index and time; with `to_end` see that the file went so far."""
        clock = StreamClock(
            time_base=_time_base(self._stream),
            start=self._start,
            rate=_rate(self._stream),
            # An MP4 tells how long frames last in the order in which they are stored.
            length=self._stream.duration if self._demuxer == "mov" else None,
        )
        broken: TruncatedError | None = None
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
            broken = error
        self._damage.end()
        if self.damaged_frames:
            _log.warning(
                "%d damaged frames of a video were left out, or shown in part", self.damaged_frames
            )
        if to_end and broken is None and self._declared.seconds is not None:
            shortfall = self._declared.seconds - clock.milliseconds(clock.end) / 1000
            if shortfall > SHORTFALL_SECONDS:
                broken = TruncatedError(
                    f"The file ends {shortfall:.1f} seconds before its video does: "
                    "send it again, whole."
                )
        if broken is not None:
            raise broken

    def _frames_once(self) -> Iterator[VideoFrame]:
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError("a reader's frames can be read once; open the file again")
        yield first
        yield from self._decoded

    def _decode(self, packets: Iterator[Packet[Any]]) -> Generator[VideoFrame]:
        """Decode packet by packet. Damage in the midst is counted; at the end it is the end."""
        held: Packet[VideoStream] | None = None  # not whole: left out if it is the last one
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
                continue  # would put the codec into its end, and says nothing
            last_is_whole = not packet.is_corrupt
            if packet.stream_index != self._stream.index:
                continue
            if held is not None:
                yield from self._attempt(held)
            ours = cast("Packet[VideoStream]", packet)
            unsure = self._declared.is_truncated and self._demuxer in _UNMARKED
            held = ours if packet.is_corrupt or unsure else None
            if held is None:
                yield from self._attempt(ours)
        proven_whole = self._declared.bytes is not None and not self._declared.is_truncated
        truncated = (
            bool(reason) or self._declared.is_truncated or not (last_is_whole or proven_whole)
        )
        if held is not None and not truncated:
            yield from self._attempt(held)
        yield from self._attempt(None)
        if truncated:
            raise TruncatedError(
                "The file breaks off before its video ends"
                f"{f' ({reason})' if reason else ''}: send it again, whole."
            )

    def _attempt(self, packet: Packet[VideoStream] | None) -> Iterator[VideoFrame]:
        """The frames that one packet completes (None: those that the codec still holds)."""
        if packet is not None and not is_hidden(packet, self._stream.codec_context.name):
            self._damage.give(packet)
        try:
            frames = self._stream.decode(packet)
        except av.error.FFmpegError:
            # The codec refuses frames above the limit by itself; tell that from damage.
            context = self._stream.codec_context
            if context.width and context.height:
                check_frame_size(context.width, context.height, max_pixels=self._max_pixels)
            if packet is not None:
                self._damage.refuse(packet)
            return
        for frame in frames:
            self._damage.show(frame)
            check_frame_size(frame.width, frame.height, max_pixels=self._max_pixels)
            yield frame

    def _shown_size(self, first: VideoFrame) -> tuple[int, int]:
        """Width and height of the upright frames, their pixels made square.

        Raises:
            FrameSizeError: these are more pixels than the limit.
        """
        width, height = first.width, first.height
        if _is_enlarged(first, self._header_wh):
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
        return self._orientation.apply(as_sdr(pixels) if decoded.color_trc == PQ else pixels)

    def _describe(self, width: int, height: int) -> MediaInfo:
        stream, container = self._stream, self._container
        rate, time_base = _rate(stream), _time_base(stream)
        duration_ms: float | None = None
        if stream.duration:
            duration_ms = float(stream.duration * time_base * 1000)
        elif container.duration:
            duration_ms = container.duration / 1000  # FFmpeg counts it in microseconds
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
    except ValueError:  # PyAV does not know all kinds of side data that FFmpeg has
        return Orientation.from_degrees(frame.rotation)
    for part in parts:
        if part.type is SideDataType.DISPLAYMATRIX:
            return Orientation.from_display_matrix(bytes(part))
    return Orientation()


def _is_enlarged(first: VideoFrame, header_wh: tuple[int, int]) -> bool:
    """Whether a stream is to grow: a call begins small, and has its full size in the header.

    Headers that differ by what a codec cuts off, or have another shape, tell nothing.
    """
    width, height = header_wh
    grows = width / first.width
    return grows >= GROWTH and abs(height / first.height / grows - 1) < SHAPE_DIFFERENCE


def _start(stream: VideoStream, first: VideoFrame) -> int | None:
    """Ticks at which the stream begins, None where it knows no times."""
    known = [ticks for ticks in (stream.start_time, first.pts) if ticks is not None]
    return min(known, default=None)


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _rate(stream: VideoStream) -> Fraction | None:
    """Frames a second; some demuxers name the rate of their ticks instead."""
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in rates if rate and rate <= HIGHEST_RATE), None)
