"""Frames of videos: upright pictures, exact times, and files that break off."""

from __future__ import annotations

import itertools
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faces_jobs.errors import (
    FrameSizeError,
    MediaError,
    NoVideoError,
    TextError,
    TruncatedError,
)
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Frame, MediaInfo
from tests import clips
from tests.clips import BLUE, GREEN, RED, Sound, Square

MAX_PIXELS = 1_000_000


def read(path: Path, *, max_pixels: int = MAX_PIXELS) -> tuple[MediaInfo, list[Frame]]:
    with open_frames(path, max_pixels=max_pixels) as reader:
        frames = list(reader)
        assert reader.damaged_frames == 0, "nothing is the matter with it"
        return reader.info, frames


def read_until_broken(path: Path) -> tuple[list[Frame], TruncatedError]:
    frames: list[Frame] = []
    with open_frames(path, max_pixels=MAX_PIXELS) as reader, pytest.raises(TruncatedError) as told:
        frames.extend(reader)  # keeps what came before the error
    return frames, told.value


def colour_at(frame: Frame, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in frame.picture_bgr[y, x])


def is_near(colour: tuple[int, ...], wanted: tuple[int, ...], *, by: int = 40) -> bool:
    return all(abs(a - b) <= by for a, b in zip(colour, wanted, strict=True))


def test_frames_come_in_order_with_index_time_and_picture(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving(10), sounds=[Sound()])
    info, frames = read(path)
    assert info == MediaInfo(
        kind="video",
        format="mov",
        width=64,
        height=48,
        frame_count=10,
        duration_ms=400.0,
        average_rate=Fraction(25),
        has_audio=True,
        time_base=Fraction(1, 12800),
    )
    assert [frame.index for frame in frames] == list(range(10))
    assert [frame.time_ms for frame in frames] == [40.0 * index for index in range(10)]
    assert all(frame.duration_ms == 40.0 for frame in frames)
    assert is_near(colour_at(frames[0], 8, 10), RED)
    assert is_near(colour_at(frames[9], 17, 10), RED)
    assert is_near(colour_at(frames[9], 54, 38), GREEN)


def test_times_are_those_of_the_stream_not_of_a_rate(tmp_path: Path) -> None:
    ticks = [7000, 7001, 7040, 7500, 7501, 9000]
    for name in ("a.mkv", "a.mp4"):
        path = clips.write_video(
            tmp_path / name, clips.moving(6), ticks=ticks, time_base=Fraction(1, 1000)
        )
        _, frames = read(path)
        assert [frame.time_ms for frame in frames] == [0, 1, 40, 500, 501, 2000]


def test_the_last_frame_lasts_as_long_as_the_video_does(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving(3),
        ticks=[0, 33, 60_000],
        time_base=Fraction(1, 1000),
        codec_options={"bf": "2"},
    )
    info, frames = read(path)
    end = frames[2].time_ms + (frames[2].duration_ms or 0)
    assert info.duration_ms == pytest.approx(end, abs=1)
    assert end == pytest.approx(60_040, abs=10)


def test_a_rate_that_is_no_integer_does_not_drift(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving(30), rate=clips.NTSC)
    info, frames = read(path)
    assert info.average_rate == clips.NTSC
    assert frames[29].time_ms == pytest.approx(29 * 1001 / 30, abs=1e-9)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("mpeg2video", "mpeg2video")])
def test_a_bare_stream_without_times_gets_those_of_its_rate(
    tmp_path: Path, codec: str, name: str
) -> None:
    path = clips.write_video(tmp_path / "bare", clips.moving(6), codec=codec, format=name)
    _, frames = read(path)
    assert [frame.time_ms for frame in frames] == [40.0 * index for index in range(6)]


CORNERS = [Square(0, 0, 16, RED), Square(48, 0, 16, GREEN), Square(0, 32, 16, BLUE)]


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
    drawn = clips.picture([Square(10, 10, 20, (250, 250, 250))], ground=(20, 20, 20))
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
    """A clip of ten bits and of one gray, whose levels stand for light by this transfer."""
    marks = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none:crf=5"
    return clips.write_video(
        path,
        [clips.picture(ground=(level,) * 3)] * 3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        codec_options={"x265-params": marks},
    )


@pytest.mark.parametrize(
    ("nits", "level", "shown"), [(203, 148, 255), (1000, 192, 255), (50, 112, 137), (0, 0, 0)]
)
def test_hdr_is_as_bright_as_on_an_ordinary_screen(
    tmp_path: Path, nits: int, level: int, shown: int
) -> None:
    _, frames = read(graded(tmp_path / "a.mkv", level, "smpte2084"))
    assert np.abs(frames[1].picture_bgr.astype(int) - shown).max() <= 10, f"of {nits} nits"


@pytest.mark.parametrize("transfer", ["bt709", "arib-std-b67", "bt2020-10"])
def test_other_levels_stay_as_they_are(tmp_path: Path, transfer: str) -> None:
    _, frames = read(graded(tmp_path / "a.mkv", 148, transfer))
    assert np.abs(frames[1].picture_bgr.astype(int) - 148).max() <= 2


@pytest.mark.parametrize(("codec", "pix_fmt"), [("qtrle", "argb"), ("png", "rgba")])
def test_what_is_transparent_is_white(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    drawn = np.zeros((48, 64, 4), np.uint8)
    drawn[10:30, 10:30] = (*RED, 255)
    drawn[10:30, 40:60] = (*RED, 128)
    path = clips.write_video(tmp_path / "a.mov", [drawn] * 2, codec=codec, pix_fmt=pix_fmt)
    _, frames = read(path)
    assert colour_at(frames[0], 2, 2) == (255, 255, 255)
    assert colour_at(frames[0], 20, 20) == RED
    assert is_near(colour_at(frames[0], 50, 20), (127, 127, 255), by=2)


@pytest.mark.parametrize("size_wh", [(65, 49), (1, 1), (3, 5)])
def test_odd_sizes_are_read_whole(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    drawn = clips.picture(width=width, height=height, ground=BLUE)
    path = clips.write_video(tmp_path / "a.mkv", [drawn] * 2, codec="ffv1", pix_fmt="bgr0")
    info, frames = read(path)
    assert (info.width, info.height) == size_wh
    assert frames[1].picture_bgr.shape == (height, width, 3)
    assert colour_at(frames[1], width - 1, height - 1) == BLUE


def test_a_stream_that_changes_its_size_is_scaled_to_its_first(tmp_path: Path) -> None:
    small = clips.write_video(tmp_path / "1.264", clips.moving(3), format="h264")
    large = clips.write_video(
        tmp_path / "2.264", clips.moving(3, width=128, height=96), format="h264"
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


def test_pixels_of_a_turned_video_are_made_square(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.mp4", [clips.picture(CORNERS)] * 3, rotation=90, pixel_aspect=Fraction(2)
    )
    info, frames = read(path)
    assert (info.width, info.height) == (48, 128)
    assert frames[0].picture_bgr.shape == (128, 48, 3)
    assert is_near(colour_at(frames[0], 5, 122), RED), "its top left corner, turned"


def test_the_limit_is_on_what_is_shown(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving(3), pixel_aspect=Fraction(3))
    with pytest.raises(FrameSizeError, match="192x48"):
        read(path, max_pixels=5000)


def write_call(path: Path, sizes_wh: list[tuple[int, int]], *, header: int) -> Path:
    """A WebM of ten frames of each size, one size after the other; the header tells one of them."""
    pictures = [clips.moving(10, width=width, height=height) for width, height in sizes_wh]
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


def test_a_call_that_begins_small_has_the_size_that_it_is_to_have(tmp_path: Path) -> None:
    sizes = [(80, 60), (320, 240)]
    info, frames = read(write_call(tmp_path / "call.webm", sizes, header=1))
    assert (info.width, info.height) == (320, 240)
    assert {frame.picture_bgr.shape for frame in frames} == {(240, 320, 3)}
    assert is_near(colour_at(frames[19], 310, 230), GREEN)
    assert is_near(colour_at(frames[0], 280, 200), GREEN), "it is the same picture, enlarged"
    steps = np.abs(np.diff(frames[0].picture_bgr[200, 240:, 1].astype(int)))
    assert steps.max() < 60, "and not into squares"


@pytest.mark.parametrize("header", [(80, 64), (160, 60)])
def test_a_header_of_another_shape_tells_no_size(tmp_path: Path, header: tuple[int, int]) -> None:
    path = write_call(tmp_path / "call.webm", [(80, 60), header], header=1)
    info, _ = read(path)
    assert (info.width, info.height) == (80, 60)


def test_a_stream_that_grows_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    small = clips.write_video(tmp_path / "1.264", clips.moving(3), format="h264")
    large = clips.write_video(
        tmp_path / "2.264", clips.moving(3, width=640, height=480), format="h264"
    )
    both = tmp_path / "both"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(FrameSizeError, match="640x480"):
        read(both, max_pixels=100_000)


def test_a_size_above_the_limit_is_refused_from_the_header(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving(3))
    with pytest.raises(FrameSizeError, match="64x48 pixels, more than the limit of 3,000"):
        read(path, max_pixels=3000)


@pytest.mark.parametrize("size", [(0, 0), (100_000, 100_000)])
def test_absurd_sizes_in_a_header_are_refused_before_decoding(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    avi = clips.write_video(
        tmp_path / "a.avi", clips.moving(3), codec="huffyuv", pix_fmt="rgb24"
    ).read_bytes()
    path = tmp_path / "b.avi"
    path.write_bytes(avi.replace(struct.pack("<2I", 64, 48), struct.pack("<2I", *size)))
    with pytest.raises(FrameSizeError, match="no usable size"):
        read(path)
    path.write_bytes(b"YUV4MPEG2 W%d H%d F25:1 C420\nFRAME\n" % size + bytes(5000))
    with pytest.raises(MediaError, match="can't be opened"):
        read(path)


def test_a_size_that_ffmpeg_would_take_is_refused_from_the_header(tmp_path: Path) -> None:
    ivf = clips.write_video(tmp_path / "a.ivf", clips.moving(3), codec="libvpx").read_bytes()
    path = tmp_path / "b.ivf"
    path.write_bytes(ivf.replace(struct.pack("<2H", 64, 48), struct.pack("<2H", 16383, 16383)))
    with pytest.raises(FrameSizeError, match="16383x16383"):
        read(path)


@pytest.mark.parametrize("kept", [0.35, 0.5, 0.7, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"movflags": "+faststart"}),
        ("a.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("a.mkv", "libx264", {}),
        ("a.webm", "libvpx", {}),
        ("a.avi", "mpeg4", {}),
        ("a.flv", "flv1", {}),
        ("a.wmv", "wmv2", {}),
        ("a.ogg", "libvpx", {}),
    ],
)
def test_a_file_that_breaks_off_gives_its_whole_frames_then_says_so(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], kept: float
) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (40, 48, 64, 3), np.uint8)
    whole = clips.write_video(
        tmp_path / name,
        list(noise),
        codec=codec,
        options=options,
        codec_options={"g": "10"},
        sounds=[] if name == "a.ogg" else [Sound("libopus" if name == "a.webm" else "aac", 1.6)],
    )
    complete = read(whole)[1]
    assert len(complete) == 40
    short = clips.write_cut_short(tmp_path / f"short-{name}", whole, kept=kept)
    try:
        frames, error = read_until_broken(short)
    except TruncatedError as broken_at_once:
        frames, error = [], broken_at_once
    assert "send it again, whole" in str(error)
    assert len(frames) < 40
    if kept >= 0.5:
        assert frames, "what was whole is kept"
    for before, after in zip(complete, frames, strict=False):
        assert after.time_ms == pytest.approx(before.time_ms)
        assert (after.picture_bgr == before.picture_bgr).all()


def test_a_broadcast_that_breaks_off_amid_a_packet_is_told(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "a.ts", clips.moving(50), codec_options={"g": "5"})
    assert len(read(whole)[1]) == 50
    data = whole.read_bytes()
    (tmp_path / "short.ts").write_bytes(data[: len(data) // 188 // 2 * 188 + 100])
    frames, _ = read_until_broken(tmp_path / "short.ts")
    assert 10 < len(frames) < 40


def test_an_mp4_without_its_index_says_what_is_missing(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "a.mp4", clips.moving(20))
    data = whole.read_bytes()
    no_index = tmp_path / "b.mp4"
    no_index.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(MediaError, match="moov"):
        read(no_index)
    cut = tmp_path / "c.mp4"
    cut.write_bytes(data[: data.index(b"moov") - 40])
    with pytest.raises(TruncatedError, match="before it tells what is in it"):
        read(cut)


def test_damage_in_the_midst_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    pictures = clips.moving(60)
    path = clips.write_video(tmp_path / "a.mkv", pictures, codec="ffv1", pix_fmt="bgr0")
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    third = places[30]
    assert third is not None
    data[third + 20 : third + 60] = bytes(40)
    path.write_bytes(data)
    with open_frames(path, max_pixels=MAX_PIXELS) as reader:
        frames = list(reader)
        assert 55 <= len(frames) <= 60
        assert frames[-1].time_ms == 59 * 40.0


def test_a_video_with_no_video_stream(tmp_path: Path) -> None:
    with pytest.raises(NoVideoError, match="no video stream"):
        read(clips.write_sound(tmp_path / "a.mp4"))
    with pytest.raises(NoVideoError):
        read(clips.write_sound(tmp_path / "a.mkv"))


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    cover = clips.write_image(tmp_path / "cover.png", clips.picture()).read_bytes()
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=48000, layout="mono")
        picture = container.add_stream("png", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "rgb24"
        picture.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        frame.sample_rate = 48000
        container.start_encoding()
        packet = av.Packet(cover)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        container.mux(packet)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    with pytest.raises(NoVideoError, match="no video stream"):
        read(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_video_without_a_frame(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError):
        read(clips.write_no_frames(tmp_path / name))


def test_errors_name_no_path(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(2000))
    with pytest.raises(MediaError) as told:
        read(path)
    assert "secret-name" not in str(told.value)
    assert str(tmp_path) not in str(told.value)


def test_metadata_in_a_strange_encoding_is_no_obstacle(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.avi", clips.moving(3), codec="mpeg4")
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfe\xe9\xff"))
    assert len(read(path)[1]) == 3


def test_a_reader_gives_its_frames_once(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving(3))
    with open_frames(path, max_pixels=MAX_PIXELS) as reader:
        assert len(list(reader)) == 3
        with pytest.raises(RuntimeError, match="once"):
            list(reader)


def test_a_playlist_named_mp4_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'canary.ts'}\n")
    with pytest.raises(TextError):
        read(path)
