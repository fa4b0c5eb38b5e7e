"""The pictures of videos: orientation, square pixels, a constant size, and colours."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faces_jobs.errors import FrameSizeError
from tests import clips
from tests.clips import BLUE, CORNERS, GREEN, RED, Square
from tests.unit.pipeline.read_videos import colour_at, is_near, read


@pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90])
def test_rotation_is_applied(tmp_path: Path, degrees: int) -> None:
    drawn = clips.picture(CORNERS)
    path = clips.write_video(tmp_path / "a.mp4", [drawn] * 3, rotation=degrees)
    info, frames = read(path)
    upright = np.rot90(drawn, round(degrees / 90))  # both count counter-clockwise
    assert (info.height, info.width) == upright.shape[:2]
    assert frames[0].picture_bgr.shape == upright.shape
    assert np.abs(frames[0].picture_bgr.astype(int) - upright).mean() < 15
    assert frames[0].picture_bgr.flags.c_contiguous


def test_a_mirrored_display_matrix_is_applied(tmp_path: Path) -> None:
    drawn = clips.picture(CORNERS)
    path = clips.write_video(tmp_path / "a.mp4", [drawn] * 3, rotation=0)
    data = path.read_bytes()
    # The identity matrix of the track's header, its first cell negated: left becomes right.
    unity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    mirror = struct.pack(">9i", -65536, 0, 0, 0, 65536, 0, 64 << 16, 0, 1 << 30)
    at = data.rindex(unity)
    path.write_bytes(data[:at] + mirror + data[at + len(mirror) :])
    _, frames = read(path)
    assert np.abs(frames[0].picture_bgr.astype(int) - drawn[:, ::-1]).mean() < 15


@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("ffv1", "gray"),
        ("ffv1", "gray10le"),
        ("ffv1", "yuv420p10le"),
        ("ffv1", "yuv444p16le"),
        ("ffv1", "bgr0"),
        ("libx264", "yuv444p"),
        ("libx264", "yuv420p10le"),
        ("mjpeg", "yuvj420p"),
        ("png", "rgb48be"),
        ("qtrle", "rgb24"),
    ],
)
def test_any_pixel_format_becomes_bgr_of_eight_bits(
    tmp_path: Path, codec: str, pix_fmt: str
) -> None:
    drawn = clips.picture([Square(10, 10, 20, (250, 250, 250))], background=(20, 20, 20))
    path = (
        clips.write_video(tmp_path / "a.mov", [drawn] * 2, codec=codec, pix_fmt=pix_fmt)
        if (codec != "ffv1")
        else clips.write_video(tmp_path / "a.mkv", [drawn] * 2, codec=codec, pix_fmt=pix_fmt)
    )
    _, frames = read(path)
    assert frames[0].picture_bgr.dtype == np.uint8
    assert frames[0].picture_bgr.shape == (48, 64, 3)
    assert is_near(colour_at(frames[0], 20, 20), (250, 250, 250), by=8)
    assert is_near(colour_at(frames[0], 50, 40), (20, 20, 20), by=8)


def graded(path: Path, level: int, transfer: str) -> Path:
    """Write a 10-bit clip of uniform gray with this transfer function."""
    marks = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none:crf=5"
    return clips.write_video(
        path,
        [clips.picture(background=(level,) * 3)] * 3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        codec_options={"x265-params": marks},
    )


@pytest.mark.parametrize(
    ("nits", "level", "shown"), [(203, 148, 255), (1000, 192, 255), (50, 112, 137), (0, 0, 0)]
)
def test_hdr_is_tone_mapped(tmp_path: Path, nits: int, level: int, shown: int) -> None:
    _, frames = read(graded(tmp_path / "a.mkv", level, "smpte2084"))
    assert np.abs(frames[1].picture_bgr.astype(int) - shown).max() <= 10, f"of {nits} nits"


@pytest.mark.parametrize("transfer", ["bt709", "arib-std-b67", "bt2020-10"])
def test_other_transfer_functions_are_not_converted(tmp_path: Path, transfer: str) -> None:
    _, frames = read(graded(tmp_path / "a.mkv", 148, transfer))
    assert np.abs(frames[1].picture_bgr.astype(int) - 148).max() <= 2


@pytest.mark.parametrize(("codec", "pix_fmt"), [("qtrle", "argb"), ("png", "rgba")])
def test_transparent_pixels_are_white(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    drawn = np.zeros((48, 64, 4), np.uint8)
    drawn[10:30, 10:30] = (*RED, 255)
    drawn[10:30, 40:60] = (*RED, 128)
    path = clips.write_video(tmp_path / "a.mov", [drawn] * 2, codec=codec, pix_fmt=pix_fmt)
    _, frames = read(path)
    assert colour_at(frames[0], 2, 2) == (255, 255, 255)
    assert colour_at(frames[0], 20, 20) == RED
    assert is_near(colour_at(frames[0], 50, 20), (127, 127, 255), by=2)


@pytest.mark.parametrize("size_wh", [(65, 49), (1, 1), (3, 5)])
def test_odd_sizes_are_read_completely(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    drawn = clips.picture(width=width, height=height, background=BLUE)
    path = clips.write_video(tmp_path / "a.mkv", [drawn] * 2, codec="ffv1", pix_fmt="bgr0")
    info, frames = read(path)
    assert (info.width, info.height) == size_wh
    assert frames[1].picture_bgr.shape == (height, width, 3)
    assert colour_at(frames[1], width - 1, height - 1) == BLUE


def test_a_stream_that_changes_its_size_is_scaled_to_its_first(tmp_path: Path) -> None:
    small = clips.write_video(tmp_path / "1.264", clips.moving_squares(3), format="h264")
    large = clips.write_video(
        tmp_path / "2.264", clips.moving_squares(3, width=128, height=96), format="h264"
    )
    both = tmp_path / "both"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    info, frames = read(both)
    assert (info.width, info.height) == (64, 48)
    assert len(frames) == 6
    assert {frame.picture_bgr.shape for frame in frames} == {(48, 64, 3)}
    assert all(a.time_ms < b.time_ms for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize(
    ("name", "stored", "aspect", "shown"),
    [
        ("a.mpg", (720, 576), Fraction(64, 45), (1024, 576)),
        ("a.mpg", (720, 480), Fraction(32, 27), (854, 480)),
        ("a.mpg", (720, 480), Fraction(8, 9), (640, 480)),
        ("a.mp4", (1440, 1080), Fraction(4, 3), (1920, 1080)),
        ("a.ts", (64, 48), Fraction(2), (128, 48)),
        ("a.mkv", (64, 48), Fraction(3, 2), (96, 48)),
        ("a.nut", (65, 49), Fraction(1), (65, 49)),
        ("a.nut", (65, 49), None, (65, 49)),
        ("a.mp4", (64, 48), Fraction(5), (64, 48)),
        ("a.mp4", (64, 48), Fraction(1, 5), (64, 48)),
        ("a.mp4", (64, 48), Fraction(255, 256), (64, 48)),
    ],
)
def test_pixels_are_made_square(
    tmp_path: Path,
    name: str,
    stored: tuple[int, int],
    aspect: Fraction | None,
    shown: tuple[int, int],
) -> None:
    width, height = stored
    drawn = clips.picture(
        [Square(0, 0, height // 2, BLUE), Square(width // 2, height // 2, height, GREEN)],
        width=width,
        height=height,
    )
    codec, pix_fmt = {
        ".nut": ("ffv1", "bgr0"),
        ".mpg": ("mpeg2video", "yuv420p"),
    }.get(Path(name).suffix, ("libx264", "yuv420p"))
    path = clips.write_video(
        tmp_path / name, [drawn] * 2, codec=codec, pix_fmt=pix_fmt, pixel_aspect=aspect
    )
    info, frames = read(path, max_pixels=3_000_000)
    wide, high = shown
    assert (info.width, info.height) == shown
    assert {frame.picture_bgr.shape for frame in frames} == {(high, wide, 3)}
    blue_ends = height // 2 * wide // width
    assert is_near(colour_at(frames[1], wide // 2 + 6, high - 3), GREEN, by=60)
    assert is_near(colour_at(frames[1], blue_ends - 5, 3), BLUE, by=60)
    assert not is_near(colour_at(frames[1], blue_ends + 5, 3), BLUE, by=60)


def test_pixels_of_a_rotated_video_are_made_square(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.mp4", [clips.picture(CORNERS)] * 3, rotation=90, pixel_aspect=Fraction(2)
    )
    info, frames = read(path)
    assert (info.width, info.height) == (48, 128)
    assert frames[0].picture_bgr.shape == (128, 48, 3)
    assert is_near(colour_at(frames[0], 5, 122), RED), "its top left corner, rotated"


def test_the_limit_applies_to_the_shown_size(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3), pixel_aspect=Fraction(3))
    with pytest.raises(FrameSizeError, match="192x48"):
        read(path, max_pixels=5000)


def write_call(path: Path, sizes_wh: list[tuple[int, int]], *, header: int) -> Path:
    """Write a WebM with ten frames of each size in turn, and one of the sizes in its header."""
    pictures = [clips.moving_squares(10, width=width, height=height) for width, height in sizes_wh]
    pieces = [
        clips.write_video(path.with_name(f"{number}.webm"), drawn, codec="libvpx")
        for number, drawn in enumerate(pictures)
    ]
    with av.open(str(path), "w") as call, av.open(str(pieces[header])) as template:
        stream = call.add_stream_from_template(template.streams.video[0])
        for number, piece in enumerate(pieces):
            with av.open(str(piece)) as container:
                for packet in container.demux(video=0):
                    if packet.size and packet.pts is not None:
                        packet.pts = packet.dts = packet.pts + 400 * number
                        packet.stream = stream
                        call.mux(packet)
    return path


def test_a_call_that_starts_small_has_the_size_of_its_header(tmp_path: Path) -> None:
    sizes = [(80, 60), (320, 240)]
    info, frames = read(write_call(tmp_path / "call.webm", sizes, header=1))
    assert (info.width, info.height) == (320, 240)
    assert {frame.picture_bgr.shape for frame in frames} == {(240, 320, 3)}
    assert is_near(colour_at(frames[19], 310, 230), GREEN)
    assert is_near(colour_at(frames[0], 280, 200), GREEN), "the same picture, enlarged"
    steps = np.abs(np.diff(frames[0].picture_bgr[200, 240:, 1].astype(int)))
    assert steps.max() < 60, "and interpolated smoothly"


@pytest.mark.parametrize("header", [(80, 64), (160, 60)])
def test_a_header_of_another_shape_is_ignored(tmp_path: Path, header: tuple[int, int]) -> None:
    path = write_call(tmp_path / "call.webm", [(80, 60), header], header=1)
    info, _ = read(path)
    assert (info.width, info.height) == (80, 60)
