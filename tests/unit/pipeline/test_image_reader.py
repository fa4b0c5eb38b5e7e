"""Reading the frames of still and animated images."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from faces_jobs.errors import FrameSizeError, MediaError, TruncatedError, UnknownMediaError
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Frame, MediaInfo
from tests import clips
from tests.clips import CORNERS, RED

MAX_PIXELS = 1_000_000


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[MediaInfo, list[Frame]]:
    with open_frames(path, max_pixels=max_pixels) as reader:
        return reader.info, list(reader)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("name", "by"),
    [("a.jpg", 40), ("a.png", 0), ("a.webp", 60), ("a.bmp", 0), ("a.tiff", 0), ("a.avif", 60)],
)
def test_a_still_image_is_one_frame(tmp_path: Path, name: str, by: int) -> None:
    drawn = clips.picture(CORNERS, width=65, height=49)
    info, frames = read(clips.write_image(tmp_path / name, drawn))
    assert (info.kind, info.width, info.height, info.frame_count) == ("image", 65, 49, 1)
    assert info.format == {"a.jpg": "jpeg"}.get(name, name.partition(".")[2])
    [frame] = frames
    assert (frame.index, frame.time_ms, frame.duration_ms) == (0, 0.0, None)
    assert frame.picture_bgr.dtype == np.uint8
    for x, y in [(6, 6), (54, 6), (6, 40), (40, 25)]:
        difference = frame.picture_bgr[y, x].astype(int) - drawn[y, x]
        assert np.abs(difference).max() <= by


# What each EXIF orientation does to the stored picture.
TURNS: dict[int, Callable[[Any], Any]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p.transpose(1, 0, 2), 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
def test_the_orientation_of_a_photograph_is_applied(
    tmp_path: Path, name: str, orientation: int
) -> None:
    drawn = clips.picture(CORNERS)
    path = clips.write_image(tmp_path / name, drawn, orientation=orientation)
    info, [frame] = read(path)
    upright = TURNS[orientation](drawn)
    assert (info.height, info.width) == upright.shape[:2]
    assert np.abs(frame.picture_bgr.astype(int) - upright).mean() < 12


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_bgr_of_eight_bits(tmp_path: Path, mode: str) -> None:
    light = Image.fromarray(np.full((20, 30), 255, np.uint8))
    light.paste(0, (0, 0, 15, 20))
    match mode:
        case "I;16":
            levels = np.asarray(light, np.uint16) * 257
            path = saved(tmp_path / "a.png", Image.fromarray(levels))
        case "I":
            path = saved(tmp_path / "a.tiff", Image.fromarray(np.asarray(light, np.int32) * 257))
        case "F":
            path = saved(tmp_path / "a.tiff", Image.fromarray(np.asarray(light, np.float32) / 255))
        case "CMYK" | "YCbCr":
            path = saved(tmp_path / "a.jpg", light.convert("RGB").convert(mode), quality=95)
        case _:
            path = saved(tmp_path / "a.png", light.convert(mode))
    _, [frame] = read(path)
    assert frame.picture_bgr.shape == (20, 30, 3)
    assert frame.picture_bgr[10, 5].max() < 12
    assert frame.picture_bgr[10, 25].min() > 243


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
@pytest.mark.parametrize(("highest", "shown"), [(4095, 255), (65535, 255), (20000, 78)])
def test_twelve_bits_stored_in_sixteen_are_scaled_to_full_brightness(
    tmp_path: Path, name: str, highest: int, shown: int
) -> None:
    levels = np.linspace(0, highest, 400).reshape(20, 20).astype(np.uint16)
    _, [frame] = read(saved(tmp_path / name, Image.fromarray(levels)))
    assert (frame.picture_bgr.min(), frame.picture_bgr.max()) == (0, shown)


def test_a_picture_of_sixteen_bits_a_colour(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 0, 32768) * 4 for _ in range(3))
    path = tmp_path / "a.png"
    path.write_bytes(png(4, 3, depth=16, colour=2, rows=rows))
    _, [frame] = read(path)
    assert frame.picture_bgr[1, 1].tolist() == pytest.approx([128, 0, 255], abs=1)


@pytest.mark.parametrize(
    ("name", "mode"),
    [*((n, m) for n in ("a.png", "a.webp", "a.tiff") for m in ("RGBA", "LA")), ("a.png", "PA")],
)
def test_transparent_pixels_are_white(tmp_path: Path, name: str, mode: str) -> None:
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[:, 15:, 3] = 255
    image = Image.fromarray(pixels)
    image = image.quantize(4) if mode == "PA" else image.convert(mode)
    options = {"lossless": True} if name == "a.webp" else {}
    _, [frame] = read(saved(tmp_path / name, image, **options))
    assert frame.picture_bgr[10, 5].tolist() == [255, 255, 255]
    assert frame.picture_bgr[10, 25].tolist() == [0, 0, 0]


def profile(*, swapped: bool = True, name: str = "odd") -> bytes:
    """A profile like that of sRGB, or one in which red and green have changed places."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace("sRGB".encode("utf-16-be"), name.ljust(4).encode("utf-16-be"))
    if not swapped:
        return data
    return data.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.jpg", "RGB"),
        ("a.avif", "RGB"),
        *((n, m) for n in ("a.png", "a.webp", "a.tiff") for m in ("RGB", "RGBA")),
        *((n, "P") for n in ("a.png", "a.tiff")),
    ],
)
def test_colours_are_those_that_the_profile_describes(tmp_path: Path, name: str, mode: str) -> None:
    image = Image.new("RGB", (16, 16), (255, 51, 0)).convert(mode)
    _, [frame] = read(saved(tmp_path / name, image, icc_profile=profile()))
    assert frame.picture_bgr[8, 8].tolist() == pytest.approx([0, 255, 51], abs=8)


@pytest.mark.parametrize(
    ("mode", "data"),
    [
        ("RGB", profile(swapped=False)),
        ("RGB", profile(name="sRGB")),  # not converted, as its name says that it needs not be
        ("RGB", profile()[:200]),
        ("RGB", b"no profile at all"),
        ("L", profile()),
    ],
)
def test_colours_stay_if_the_profile_changes_or_says_nothing(
    tmp_path: Path, mode: str, data: bytes
) -> None:
    image = Image.new("RGB", (16, 16), (200, 90, 60)).convert(mode)
    _, [frame] = read(saved(tmp_path / "a.png", image, icc_profile=data))
    rgb = np.asarray(image.convert("RGB"))[8, 8]
    assert frame.picture_bgr[8, 8].tolist() == pytest.approx(rgb[::-1].tolist(), abs=1)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_is_a_video_of_its_frames(tmp_path: Path, name: str) -> None:
    pictures = clips.moving_squares(5)
    path = clips.write_animation(tmp_path / name, pictures, [40, 100, 250, 70, 500], loop=0)
    info, frames = read(path)
    assert (info.kind, info.frame_count, info.width, info.height) == ("video", 5, 64, 48)
    assert [frame.time_ms for frame in frames] == [0, 40, 140, 390, 460]
    assert [frame.duration_ms for frame in frames] == [40, 100, 250, 70, 500]
    for frame, drawn in zip(frames, pictures, strict=True):
        assert np.abs(frame.picture_bgr.astype(int) - drawn).max() <= 8


def test_durations_that_are_no_whole_milliseconds_do_not_add_up_to_another_speed(
    tmp_path: Path,
) -> None:
    drawn = clips.moving_squares(31)
    path = clips.write_video(tmp_path / "a.apng", drawn, codec="apng", pix_fmt="rgb24", rate=30)
    _, frames = read(path)
    assert [frame.time_ms for frame in frames] == [round(each * 1000 / 30) for each in range(31)]
    assert {frame.duration_ms for frame in frames} == {33, 34}


def test_frames_without_a_duration_last_as_long_as_in_browsers(tmp_path: Path) -> None:
    path = clips.write_animation(tmp_path / "a.gif", clips.moving_squares(3), [0, 0, 0], loop=0)
    assert [frame.time_ms for frame in read(path)[1]] == [0, 100, 200]


def test_the_default_image_of_an_animated_png_is_not_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    clips.write_animation(path, clips.moving_squares(4), [50] * 4, default_image=True)
    info, frames = read(path)
    assert info.frame_count == len(frames) == 3
    assert [frame.time_ms for frame in frames] == [0, 50, 100]


def test_an_animated_image_of_one_frame_is_an_image(tmp_path: Path) -> None:
    info, frames = read(clips.write_animation(tmp_path / "a.gif", clips.moving_squares(1), [100]))
    assert (info.kind, len(frames), frames[0].duration_ms) == ("image", 1, None)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff", "a.bmp", "a.avif"])
@pytest.mark.parametrize("kept", [0.1, 0.4, 0.6, 0.95])
def test_a_truncated_still_image_is_an_error(tmp_path: Path, name: str, kept: float) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
    whole = clips.write_image(tmp_path / name, noise)
    short = clips.write_truncated(tmp_path / f"short-{name}", whole, kept=kept)
    with pytest.raises(TruncatedError, match="send the complete file again"):
        read(short)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.8])
def test_a_truncated_animation_yields_its_whole_frames_then_raises(
    tmp_path: Path, name: str, kept: float
) -> None:
    noise = list(np.random.default_rng(3).integers(0, 255, (10, 48, 64, 3), np.uint8))
    whole = clips.write_animation(tmp_path / name, noise, [100] * 10, loop=0)
    complete = read(whole)[1]
    short = clips.write_truncated(tmp_path / f"short-{name}", whole, kept=kept)
    frames: list[Frame] = []

    def read_on() -> None:
        with open_frames(short, max_pixels=MAX_PIXELS) as reader:
            frames.extend(reader)

    with pytest.raises(TruncatedError):
        read_on()
    assert len(frames) < 10
    if name != "a.webp":  # libwebp decodes no frame of a truncated animation
        assert len(frames) >= round(kept * 10) - 2
    for frame, before in zip(frames, complete, strict=False):
        assert (frame.picture_bgr == before.picture_bgr).all()


def png(width: int, height: int, *, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 1078, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(1024)
    )


def gif(width: int, height: int) -> bytes:
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<2H3B", width, height, 0, 0, 0) + frame + b"\x3b"


@pytest.mark.parametrize(
    "data", [png(100_000, 100_000), png(1001, 1000), bmp(100_000, 100_000), gif(65_535, 65_535)]
)
def test_too_many_pixels_are_rejected_by_the_header(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(FrameSizeError, match="than the limit of 1,000,000"):
        read(path)


@pytest.mark.filterwarnings("default")
def test_libraries_print_no_warnings(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = tmp_path / "a"
    path.write_bytes(png(1001, 1000))
    with pytest.raises(FrameSizeError):
        read(path)
    assert not recwarn.list


@pytest.mark.parametrize("data", [png(0, 0), png(0, 10), bmp(0, 0), gif(0, 0)])
def test_pictures_without_pixels_are_rejected(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(MediaError):
        read(path)


def test_a_large_picture_within_the_limit_raises_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(12_000, 8_000, depth=1, colour=0))  # above Pillow's own limit
    with pytest.raises(TruncatedError):  # decoding began, and warnings are errors
        read(path, max_pixels=100_000_000)


def test_damaged_exif_data_is_ignored(tmp_path: Path) -> None:
    path = clips.write_image(tmp_path / "a.jpg", clips.picture(), orientation=6)
    data = path.read_bytes()
    at = data.index(b"Exif\0\0") + 14
    path.write_bytes(data[:at] + b"\xff" * 30 + data[at + 30 :])
    _, [frame] = read(path)
    assert sorted(frame.picture_bgr.shape) == [3, 48, 64]


def test_the_first_page_of_a_tiff_is_read(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    path = saved(tmp_path / "a.tiff", pages[0], save_all=True, append_images=pages[1:])
    info, [frame] = read(path)
    assert info.kind == "image"
    assert frame.picture_bgr[5, 5].tolist() == list(RED)


@pytest.mark.parametrize(
    "tags", [{254: 1}, {50706: b"\x01\x04\x00\x00"}, {254: 1, 50706: b"\x01\x04\x00\x00"}], ids=str
)
def test_a_raw_file_is_not_read_as_its_preview(tmp_path: Path, tags: dict[int, Any]) -> None:
    page = Image.new("RGB", (160, 120), (200, 100, 50))
    path = saved(tmp_path / "a.tiff", page, tiffinfo=tags)
    with pytest.raises(UnknownMediaError, match="camera's raw file: export it as JPEG or TIFF"):
        read(path)


def test_an_intact_image_of_an_unsupported_kind_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), np.zeros((20, 30, 3), np.float32))
    with pytest.raises(MediaError, match="or of a kind that is not supported: export it again"):
        read(path)


def test_a_scan_of_several_pages_is_not_a_raw_file(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue")]
    path = saved(
        tmp_path / "a.tiff", pages[0], save_all=True, append_images=pages[1:], tiffinfo={254: 2}
    )
    _, frames = read(path)
    assert tuple(frames[0].picture_bgr[5, 5]) == RED


SOURCES = ["a.jpg", "a.png", "a.webp", "a.bmp", "a.tiff", "a.gif", "a.avif"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(SOURCES),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4),
    st.floats(0.02, 1),
)
def test_damaged_images_are_read_or_rejected(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    damage: list[tuple[float, bytes]],
    kept: float,
) -> None:
    path = tmp_path_factory.mktemp("damaged") / name
    if name == "a.gif":
        clips.write_animation(path, clips.moving_squares(3), [100] * 3)
    else:
        clips.write_image(path, clips.picture(CORNERS))
    data = bytearray(path.read_bytes())
    for place, noise in damage:
        at = round(place * len(data))
        data[at : at + len(noise)] = noise
    path.write_bytes(data[: max(1, round(kept * len(data)))])
    try:
        info, frames = read(path)
    except MediaError:
        return
    assert frames
    assert all(frame.picture_bgr.shape == (info.height, info.width, 3) for frame in frames)
