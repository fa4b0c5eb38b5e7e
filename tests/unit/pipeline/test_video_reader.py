"""Reading the frames of videos: exact times, limits, and truncated files."""

from __future__ import annotations

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
from faces_jobs.pipeline.cutting.cuts import plan_parts
from faces_jobs.pipeline.frames import open_frames, open_part
from faces_jobs.pipeline.reading.video_reader import VideoReader
from faces_jobs.pipeline.values import Frame, MediaInfo
from tests import clips
from tests.clips import GREEN, RED, Sound
from tests.unit.pipeline.read_videos import MAX_PIXELS, colour_at, is_near, read


def read_until_truncated(path: Path) -> tuple[list[Frame], TruncatedError]:
    frames: list[Frame] = []
    with (
        open_frames(path, max_pixels=MAX_PIXELS) as reader,
        pytest.raises(TruncatedError) as raised,
    ):
        frames.extend(reader)  # keeps the frames before the error
    return frames, raised.value


def test_frames_come_in_order_with_index_time_and_picture(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(10), sounds=[Sound()])
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
            tmp_path / name, clips.moving_squares(6), ticks=ticks, time_base=Fraction(1, 1000)
        )
        _, frames = read(path)
        assert [frame.time_ms for frame in frames] == [0, 1, 40, 500, 501, 2000]


def test_the_last_frame_lasts_as_long_as_the_video_does(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving_squares(3),
        ticks=[0, 33, 60_000],
        time_base=Fraction(1, 1000),
        codec_options={"bf": "2"},
    )
    info, frames = read(path)
    end = frames[2].time_ms + (frames[2].duration_ms or 0)
    assert info.duration_ms == pytest.approx(end, abs=1)
    assert end == pytest.approx(60_040, abs=10)


def test_a_rate_that_is_not_an_integer_does_not_drift(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(30), rate=clips.NTSC)
    info, frames = read(path)
    assert info.average_rate == clips.NTSC
    assert frames[29].time_ms == pytest.approx(29 * 1001 / 30, abs=1e-9)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("mpeg2video", "mpeg2video")])
def test_a_raw_stream_without_timestamps_gets_times_from_its_rate(
    tmp_path: Path, codec: str, name: str
) -> None:
    path = clips.write_video(tmp_path / "bare", clips.moving_squares(6), codec=codec, format=name)
    _, frames = read(path)
    assert [frame.time_ms for frame in frames] == [40.0 * index for index in range(6)]


def test_a_stream_that_grows_beyond_the_limit_is_rejected(tmp_path: Path) -> None:
    small = clips.write_video(tmp_path / "1.264", clips.moving_squares(3), format="h264")
    large = clips.write_video(
        tmp_path / "2.264", clips.moving_squares(3, width=640, height=480), format="h264"
    )
    both = tmp_path / "both"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.raises(FrameSizeError, match="640x480"):
        read(both, max_pixels=100_000)


def test_a_size_above_the_limit_is_rejected_by_the_header(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3))
    with pytest.raises(FrameSizeError, match="64x48 pixels, more than the limit of 3,000"):
        read(path, max_pixels=3000)


@pytest.mark.parametrize("size", [(0, 0), (100_000, 100_000)])
def test_implausible_sizes_in_a_header_are_rejected_before_decoding(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    avi = clips.write_video(
        tmp_path / "a.avi", clips.moving_squares(3), codec="huffyuv", pix_fmt="rgb24"
    ).read_bytes()
    path = tmp_path / "b.avi"
    path.write_bytes(avi.replace(struct.pack("<2I", 64, 48), struct.pack("<2I", *size)))
    with pytest.raises(FrameSizeError, match="no usable picture size"):
        read(path)
    path.write_bytes(b"YUV4MPEG2 W%d H%d F25:1 C420\nFRAME\n" % size + bytes(5000))
    with pytest.raises(MediaError, match="can't be opened"):
        read(path)


def test_a_size_that_ffmpeg_would_accept_is_rejected_by_the_header(tmp_path: Path) -> None:
    ivf = clips.write_video(
        tmp_path / "a.ivf", clips.moving_squares(3), codec="libvpx"
    ).read_bytes()
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
def test_a_truncated_file_yields_its_whole_frames_then_raises(
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
    short = clips.write_truncated(tmp_path / f"short-{name}", whole, kept=kept)
    try:
        frames, error = read_until_truncated(short)
    except TruncatedError as truncated_at_once:
        frames, error = [], truncated_at_once
    assert "send the complete file again" in str(error)
    assert len(frames) < 40
    if kept >= 0.5:
        assert frames, "whole frames are kept"
    for before, after in zip(complete, frames, strict=False):
        assert after.time_ms == pytest.approx(before.time_ms)
        assert (after.picture_bgr == before.picture_bgr).all()


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "libx264"), ("a.webm", "libvpx")])
def test_a_file_with_a_hole_yields_its_whole_frames_then_raises(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = clips.write_video(tmp_path / name, clips.moving_squares(100), codec=codec)
    assert len(read(path)[1]) == 100
    with av.open(str(path)) as container:
        kept = [packet.pos for packet in container.demux(video=0) if packet.size][40] or 0
    data = path.read_bytes()
    path.write_bytes(data[:kept] + bytes(len(data) - kept))  # as an interrupted download leaves it
    frames, error = read_until_truncated(path)
    assert 30 < len(frames) < 45
    assert "seconds before its video does" in str(error)


def test_a_broadcast_truncated_within_a_packet_is_an_error(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "a.ts", clips.moving_squares(50), codec_options={"g": "5"})
    assert len(read(whole)[1]) == 50
    data = whole.read_bytes()
    (tmp_path / "short.ts").write_bytes(data[: len(data) // 188 // 2 * 188 + 100])
    frames, _ = read_until_truncated(tmp_path / "short.ts")
    assert 10 < len(frames) < 40


def test_the_error_for_an_mp4_names_the_missing_index(tmp_path: Path) -> None:
    whole = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(20))
    data = whole.read_bytes()
    no_index = tmp_path / "b.mp4"
    no_index.write_bytes(data[: data.index(b"moov") - 4])
    with pytest.raises(MediaError, match="moov"):
        read(no_index)
    cut = tmp_path / "c.mp4"
    cut.write_bytes(data[: data.index(b"moov") - 40])
    with pytest.raises(TruncatedError, match="cut off and can't be opened"):
        read(cut)


def test_a_stream_that_begins_long_after_the_start_is_no_error(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.flv",  # in which nothing tells of streams before their first packet
        clips.moving_squares(100),
        codec="flv1",
        rate=1,
        sounds=[Sound("libmp3lame", 0.2, start_seconds=95.0, rate=44100)],
    )
    info, frames = read(path)
    assert not info.has_audio, "not known when the file is opened"
    assert len(frames) == 100
    with open_frames(path, max_pixels=MAX_PIXELS) as reader:
        assert isinstance(reader, VideoReader)
        first_pts = reader.first_pts
    plan = plan_parts(path, "flv", max_pixels=MAX_PIXELS, first_pts=first_pts, seconds=30)
    with open_part(path, plan.parts[-1], max_pixels=MAX_PIXELS) as last:
        assert [frame.index for frame in last][-1] == 99


def test_damaged_frames_are_skipped_and_the_rest_is_read(tmp_path: Path) -> None:
    pictures = clips.moving_squares(60)
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


def test_a_cover_picture_is_not_a_video(tmp_path: Path) -> None:
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
        read(clips.write_without_frames(tmp_path / name))


def test_error_messages_contain_no_path(tmp_path: Path) -> None:
    path = tmp_path / "secret-name.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(2000))
    with pytest.raises(MediaError) as raised:
        read(path)
    assert "secret-name" not in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


def test_metadata_in_an_invalid_encoding_is_ignored(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.avi", clips.moving_squares(3), codec="mpeg4")
    data = path.read_bytes()
    assert b"Lavf" in data
    path.write_bytes(data.replace(b"Lavf", b"\xff\xfe\xe9\xff"))
    assert len(read(path)[1]) == 3


def test_a_reader_can_be_iterated_once(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3))
    with open_frames(path, max_pixels=MAX_PIXELS) as reader:
        assert len(list(reader)) == 3
        with pytest.raises(RuntimeError, match="once"):
            list(reader)


def test_a_playlist_named_mp4_is_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'canary.ts'}\n")
    with pytest.raises(TextError):
        read(path)
