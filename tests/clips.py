"""Tiny generated media files: videos, images, animations and sound of many formats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

RED: Colour = (0, 0, 255)  # BGR
GREEN: Colour = (0, 255, 0)
BLUE: Colour = (255, 0, 0)
GRAY: Colour = (96, 96, 96)
NTSC = Fraction(30000, 1001)


@dataclass(frozen=True, slots=True)
class Square:
    """One "face" of a clip: left, top and side in pixels, and its BGR colour."""

    left: int
    top: int
    side: int
    colour: Colour = RED


# Squares that reveal how a picture was rotated or flipped.
CORNERS = [Square(0, 0, 16, RED), Square(48, 0, 16, GREEN), Square(0, 32, 16, BLUE)]


@dataclass(frozen=True, slots=True)
class Sound:
    """One audio track: a 440 Hz tone that starts `start_seconds` after the first picture."""

    codec: str = "aac"
    seconds: float = 1.0
    start_seconds: float = 0.0
    rate: int = 48000
    layout: str = "mono"
    language: str = "eng"
    packet_samples: int = 1024  # of codecs with packets of any length
    late_samples: int = 0  # by which every other packet is stamped too late


def picture(
    squares: Iterable[Square] = (), *, width: int = 64, height: int = 48, background: Colour = GRAY
) -> Picture:
    """Draw squares on a plain background: a picture of (height, width, 3), BGR."""
    drawn = np.full((height, width, 3), background, np.uint8)
    for square in squares:
        drawn[
            max(0, square.top) : square.top + square.side,
            max(0, square.left) : square.left + square.side,
        ] = square.colour
    return drawn


def moving_squares(frames: int = 10, *, width: int = 64, height: int = 48) -> list[Picture]:
    """Draw a red square that moves right by one pixel per frame, and a green one that stays."""
    return [
        picture(
            [Square(2 + index, 4, 12), Square(width - 16, height - 16, 12, GREEN)],
            width=width,
            height=height,
        )
        for index in range(frames)
    ]


def two_scenes(frames: int = 10) -> list[Picture]:
    """Draw two scenes with a hard cut between them; a square has the same place in both."""
    before = [picture([Square(20, 10, 14)]) for _ in range(frames // 2)]
    after = picture(background=(0, 0, 0))
    after[:, 32:] = 255
    after[10:24, 20:34] = RED
    return before + [after] * (frames - frames // 2)


def write_video(
    path: Path,
    pictures: Sequence[Picture],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: Fraction | int = 25,
    ticks: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int | None = None,
    pixel_aspect: Fraction | None = None,
    sounds: Sequence[Sound] = (),
    format: str | None = None,  # noqa: A002 (FFmpeg's term)
    options: dict[str, str] | None = None,
    codec_options: dict[str, str] | None = None,
) -> Path:
    """Write a video of these BGR (or BGRA) pictures.

    The container follows from the path's suffix, unless `format` names one. `ticks` are the
    presentation times of the frames in units of `time_base`; the default is a constant frame rate.
    """
    rate = Fraction(rate)
    base = time_base or 1 / rate
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=codec_options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = base
        stream.codec_context.thread_count = 1
        if pixel_aspect is not None:
            stream.sample_aspect_ratio = pixel_aspect
        if rotation is not None:
            stream.set_display_rotation(rotation)
        tracks = [(_add_sound(container, sound), sound) for sound in sounds]
        for index, drawn in enumerate(pictures):
            source = "bgra" if drawn.shape[2] == 4 else "bgr24"
            frame = av.VideoFrame.from_ndarray(drawn, format=source)
            frame = frame.reformat(format=pix_fmt, threads=1)
            frame.pts = index if ticks is None else ticks[index]
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for track, sound in tracks:
            _write_sound(container, track, sound)
    return path


def write_repeated(path: Path, source: Path, times: int, *, speed: int = 1) -> Path:
    """Write a video's pictures `times` in a row, `speed` times as fast; its sound only once.

    Nothing is encoded.
    """
    with av.open(str(source)) as given, av.open(str(path), "w") as written:
        length = given.streams.video[0].duration or 0  # in units of its time base
        streams = [*given.streams.video, *given.streams.audio]
        copies = {each.index: written.add_stream_from_template(each) for each in streams}
        packets: list[Any] = [each for each in given.demux(streams) if each.size]
        for turn in range(times):
            for packet in packets:
                is_video = packet.stream.type == "video"
                if turn and not is_video:
                    continue
                copy: Any = av.Packet(bytes(packet))
                shift = turn * length if is_video else 0
                copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
                copy.duration, copy.is_keyframe = packet.duration, packet.is_keyframe
                copy.time_base = packet.time_base / (speed if is_video else 1)
                copy.stream = copies[packet.stream.index]
                written.mux(copy)
    return path


def write_sound(path: Path, sounds: Sequence[Sound] = (Sound(),)) -> Path:
    """Write a file that has sound and no video stream."""
    with av.open(str(path), "w") as container:
        tracks = [(_add_sound(container, sound), sound) for sound in sounds]
        for track, sound in tracks:
            _write_sound(container, track, sound)
    return path


def _add_sound(container: Any, sound: Sound) -> Any:
    track = container.add_stream(sound.codec, rate=sound.rate, layout=sound.layout)
    track.metadata["language"] = sound.language
    return track


def _write_sound(container: Any, track: Any, sound: Sound) -> None:
    count = round(sound.seconds * sound.rate)
    wave = (8000 * np.sin(np.arange(count) * 2 * np.pi * 440 / sound.rate)).astype(np.int16)
    channels = len(av.AudioLayout(sound.layout).channels)
    step = sound.packet_samples
    for number, start in enumerate(range(0, count, step)):
        samples = np.repeat(wave[start : start + step], channels)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=sound.layout)
        frame.sample_rate = sound.rate
        late = number % 2 * sound.late_samples
        frame.pts = start + late + round(sound.start_seconds * sound.rate)
        frame.time_base = Fraction(1, sound.rate)
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def write_without_frames(path: Path) -> Path:
    """Write a video whose stream has no frames."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path


def write_truncated(path: Path, source: Path, *, kept: float) -> Path:
    """Write the first `kept` (a fraction) of another file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: round(len(data) * kept)])
    return path


def write_damaged(path: Path, source: Path, packets: Iterable[int], *, intact: float = 0.0) -> Path:
    """Write a copy of a video in which the packets of these numbers are overwritten with zeros.

    `intact` is the fraction of each packet that is left as it was, from its beginning.
    """
    with av.open(str(source)) as container:
        places = [(each.pos, each.size) for each in container.demux(video=0) if each.size]
    data = bytearray(source.read_bytes())
    for number in packets:
        start, size = places[number]
        assert start is not None
        kept = round(size * intact)
        data[start + kept : start + size] = bytes(size - kept)
    path.write_bytes(data)
    return path


def write_animation(
    path: Path, pictures: Sequence[Picture], durations_ms: Sequence[int], **options: Any
) -> Path:
    """Write a GIF, WebP or APNG, by the path's suffix."""
    first, *rest = [Image.fromarray(np.ascontiguousarray(drawn[:, :, ::-1])) for drawn in pictures]
    if path.suffix == ".webp":
        options.setdefault("lossless", True)
    first.save(path, save_all=True, append_images=rest, duration=list(durations_ms), **options)
    return path


def write_image(path: Path, drawn: Picture, *, orientation: int | None = None) -> Path:
    """Write an image in the format of the path's suffix.

    `orientation` is only recorded as EXIF metadata; the pixels are stored as they are.
    """
    options: dict[str, Any] = {"quality": 95} if path.suffix in {".jpg", ".webp", ".avif"} else {}
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "A Camera"
        exif.get_ifd(0x8825)[1] = "N"  # a GPS position
        options["exif"] = exif
    Image.fromarray(np.ascontiguousarray(drawn[:, :, ::-1])).save(path, **options)
    return path
