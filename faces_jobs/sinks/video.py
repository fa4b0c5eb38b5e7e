"""Writes the annotated copy of a video: H.264 in mp4 for browsers, with the source's times."""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import av.error
import cv2
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    VideoReformatter,
)
from av.video.stream import VideoStream

from faces_jobs.errors import MediaError
from faces_jobs.jobs.records import TrackRecord
from faces_jobs.pipeline.reading.clock import ASSUMED_RATE
from faces_jobs.pipeline.reading.pictures import fit
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.settings import EncoderName
from faces_jobs.sinks.drawing import draw_faces
from faces_jobs.sinks.encoders import Encoder, choose_encoder
from faces_jobs.sinks.sound import Sound
from faces_jobs.storage import raising_storage_full

MAX_PENDING_FRAMES = 4  # held in memory in addition to the caller's batch
KEY_FRAME_SECONDS = 2  # how far back a player has to decode after a seek
# mp4 stores the duration of a frame as a 32-bit number of ticks, which a finer clock could exceed.
MIN_TICK = Fraction(1, 1_000_000)
FALLBACK_TICK = Fraction(1, 90_000)
# FFmpeg does not keep the times of frames that are further apart in mp4, whose clock it makes at
# least so fine.
MAX_PAUSE_TICKS = 2**31 - 2
MIN_TICKS_PER_SECOND = 10_000
MAX_SIDE = 16_384  # pixels; the limit of H.264


class AnnotatedVideo:
    """A `Sink` that draws and encodes every frame with its timestamp. Open it with `with`.

    H.264 with 4:2:0 chroma needs even sizes, so an odd side grows by one pixel, which repeats its
    neighbour. The file exists once the block succeeded; until then it has a temporary name, and on
    an error it is deleted.
    """

    def __init__(
        self,
        path: Path,
        *,
        info: MediaInfo,
        source: Path | None = None,
        format: str = "mp4",  # noqa: A002 (FFmpeg's word)
        encoder: EncoderName = "libx264",
    ) -> None:
        """Write to `path`, with the sound of `source` if it is given and has any.

        Parts to be joined need another format (see `sinks.joined`), and all the same encoder.
        """
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._info = info
        self._tick = output_tick(info)
        self._last_ticks: int | None = None
        self._durations: dict[int, int] = {}  # by pts, of frames that the encoder still holds
        self._first_ticks: int | None = None
        self._first_dts: int | None = None
        self._last_duration = 0
        self._failed = False
        self._finished = False
        with ExitStack() as opened, raising_storage_full():
            opened.callback(self._part.unlink, missing_ok=True)
            options = (
                {"movflags": "+faststart"} if format == "mp4" else {"avoid_negative_ts": "disabled"}
            )
            self._output = av.open(str(self._part), "w", format=format, options=options)
            opened.callback(self._close_output)
            self._size_wh = _encoded_size(info.width, info.height)
            width, height = self._size_wh
            self._stream = self._add_stream(choose_encoder(encoder, width=width, height=height))
            self._sound: Sound | None = None
            if source is not None and info.has_audio:
                self._sound = opened.enter_context(Sound(source, info, self._output))
            self._reformatter = VideoReformatter()
            self._drawn = np.empty((info.height, info.width, 3), np.uint8)
            self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encode")
            opened.callback(self._encoder.shutdown, cancel_futures=True)
            self._drawer = ThreadPoolExecutor(1, thread_name_prefix="draw")
            opened.callback(self._drawer.shutdown, cancel_futures=True)
            self._pending: deque[Future[None]] = deque()
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and self._finished:
            self._part.replace(self._path)
        self._opened.close()

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:  # noqa: ARG002 (a sink's signature)
        """Schedule one frame to be drawn and encoded, and the sound up to it to be muxed.

        Two threads, one that draws and one that encodes, do this while the networks process the
        next frames; they are at most a few frames behind.

        Raises:
            StorageFullError: the disk is full, for this frame or an earlier one.
            MediaError: one of them comes too long after those before it.
        """
        while len(self._pending) >= MAX_PENDING_FRAMES:
            self._pending.popleft().result()
        drawn = self._drawer.submit(self._draw, frame, tuple(faces))
        self._pending.append(
            self._encoder.submit(self._encode, drawn, frame.time_ms, frame.duration_ms or 0.0)
        )

    def _encode(self, drawn: Future[VideoFrame], time_ms: float, duration_ms: float) -> None:
        """Encode one frame. After an error, which `add` or `finish` reports, do nothing."""
        # FFmpeg crashes if a header that could not be written is written again.
        if self._failed:
            return
        try:
            self._encode_frame(drawn.result(), time_ms, duration_ms)
        except BaseException:
            self._failed = True
            raise

    def _encode_frame(self, encoded: VideoFrame, time_ms: float, duration_ms: float) -> None:
        ticks = round(Fraction(time_ms) / 1000 / self._tick)
        if self._last_ticks is not None:
            ticks = max(ticks, self._last_ticks + 1)  # the source may have a finer clock
            check_pause(ticks - self._last_ticks, self._tick)
        else:
            self._first_ticks = ticks
        self._last_ticks = ticks
        encoded.pts = ticks + self._delay()
        encoded.time_base = self._tick
        self._last_duration = round(Fraction(duration_ms) / 1000 / self._tick)
        self._durations[encoded.pts] = self._last_duration
        with raising_storage_full():
            self._mux(self._stream.encode(encoded))
            if self._sound is not None:
                self._sound.mux_until(time_ms / 1000)

    def finish(self, tracks: Sequence[TrackRecord]) -> None:  # noqa: ARG002 (a sink's signature)
        """Encode the remaining frames and write the index to the start of the file.

        Raises:
            StorageFullError: the disk is full.
            MediaError: a frame comes too long after those before it.
        """
        while self._pending:
            self._pending.popleft().result()
        with raising_storage_full():
            last = self._stream.encode(None)
            if last and last[-1].pts is not None:
                self._durations[last[-1].pts] = self._remaining_duration(last)
            self._mux(last)
            if self._sound is not None:
                self._sound.mux_until(None)
            self._output.close()
        self._finished = True

    def _add_stream(self, encoder: Encoder) -> VideoStream:
        rate = self._info.average_rate or ASSUMED_RATE
        stream = cast(
            "VideoStream",
            self._output.add_stream(encoder.name, rate=rate.limit_denominator(1_000_000)),
        )
        stream.width, stream.height = self._size_wh
        stream.pix_fmt = "yuv420p"
        stream.time_base = self._tick
        context = stream.codec_context
        context.time_base = self._tick
        encoder.configure(context)
        context.gop_size = max(1, round(rate * KEY_FRAME_SECONDS))
        context.colorspace = int(Colorspace.ITU709)
        context.color_range = int(ColorRange.MPEG)
        context.color_primaries = int(ColorPrimaries.BT709)
        context.color_trc = int(ColorTrc.BT709)
        return stream

    def _draw(self, frame: Frame, faces: Sequence[Face]) -> VideoFrame:
        """Draw the faces and convert the picture to the encoder's pixel format."""
        # Always drawn into the same array: allocating memory costs more than copying. The frame
        # returned does not share it.
        drawn_bgr = draw_faces(frame.picture_bgr, faces, onto=self._drawn)
        width, height = self._size_wh
        if max(self._info.width, self._info.height) > MAX_SIDE:
            drawn_bgr = fit(drawn_bgr, width, height)
        bottom, right = height - drawn_bgr.shape[0], width - drawn_bgr.shape[1]
        if bottom or right:
            drawn_bgr = np.asarray(
                cv2.copyMakeBorder(drawn_bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE), np.uint8
            )
        return self._reformatter.reformat(
            VideoFrame.from_numpy_buffer(drawn_bgr, format="bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def _delay(self) -> int:
        return 0 if self._sound is None else round(self._sound.delay_seconds / self._tick)

    def _remaining_duration(self, packets: Sequence[Packet[VideoStream]]) -> int:
        """Return the duration that the last of these packets needs for the video to end in time.

        Frames are stored in decoding order, and mp4 adds up durations in that order.
        """
        first_dts = packets[0].dts if self._first_dts is None else self._first_dts
        total = (self._last_ticks or 0) - (self._first_ticks or 0) + self._last_duration
        return max(1, total - ((packets[-1].dts or 0) - (first_dts or 0)))

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        for packet in packets:
            if self._first_dts is None:
                self._first_dts = packet.dts
            duration = None if packet.pts is None else self._durations.pop(packet.pts, None)
            if duration:
                packet.duration = duration
            with naming_pauses():
                self._output.mux(packet)

    def _close_output(self) -> None:
        """Close the file in whatever state it is; does nothing if it is closed."""
        # The first error was reported already; a file that is deleted need not be complete.
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._output.close()


def output_tick(info: MediaInfo) -> Fraction:
    """Return the time base of the output: the source's, so that timestamps are kept exactly."""
    tick = info.time_base or Fraction(1, 1000)
    return tick if tick >= MIN_TICK else FALLBACK_TICK


def check_pause(ticks: int, tick: Fraction) -> None:
    """Check the time between two frames, in ticks of the output.

    Raises:
        MediaError: it is longer than mp4 can express.
    """
    ticks_per_second = tick.denominator
    while ticks_per_second < MIN_TICKS_PER_SECOND:
        ticks_per_second *= 2
    if ticks * tick * ticks_per_second > MAX_PAUSE_TICKS:
        raise MediaError(
            f"The video pauses for {float(ticks * tick / 3600):.1f} hours, which an annotated copy "
            "can't: process it without one, or cut it there."
        )


@contextlib.contextmanager
def naming_pauses() -> Iterator[None]:
    """Convert FFmpeg's refusal to add a picture to an mp4 file.

    It is decoded too long before it is shown. Pictures are decoded up to some places early, so that
    their pauses add up; and one among the first pictures counts twice.

    Raises:
        MediaError: the picture was refused.
    """
    try:
        yield
    except av.error.PatchWelcomeError as error:
        raise MediaError(
            "The video pauses for hours between a few frames, which an annotated copy can't: "
            "process it without one, or cut it there."
        ) from error


def _encoded_size(width: int, height: int) -> tuple[int, int]:
    """Return even sides within the limits of H.264."""
    scale = min(1.0, MAX_SIDE / max(width, height))
    even_width, even_height = (
        2 * math.ceil(round(side * scale) / 2) or 2 for side in (width, height)
    )
    return even_width, even_height
