"""Annotated videos, opened again and compared with their source frame by frame."""

from __future__ import annotations

import shlex
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faces_jobs.errors import MediaError, StorageFullError
from faces_jobs.jobs.records import Attribute, FaceRecord
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Face, Frame, MediaInfo
from faces_jobs.sinks.video import MAX_PAUSE_TICKS, AnnotatedVideo
from tests import clips
from tests.clips import Sound
from tests.unit.sinks.copies import MAX_PIXELS, annotate, relative_times, times


def make_face() -> Face:
    gender = {"gender": Attribute("female", 0.9)}
    record = FaceRecord(0, 0.0, 0, 1, (10.0, 10.0, 40.0, 40.0), 0.9, gender)
    return Face(record, opinion={}, settled=gender)


def test_the_copy_plays_in_a_browser(tmp_path: Path) -> None:
    source = clips.write_video(tmp_path / "a.mkv", clips.moving_squares(30), sounds=[Sound()])
    copy = annotate(source, tmp_path / "out.mp4")
    data = copy.read_bytes()
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat"), "it can play before it is loaded completely"
    with av.open(str(copy)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (1, 1)
        assert container.streams.audio[0].codec_context.name == "aac"
        assert len(list(container.decode(video))) == 30
    assert [path.name for path in tmp_path.iterdir() if path != source] == ["out.mp4"]


@pytest.mark.parametrize(
    ("name", "ticks", "base", "rate"),
    [
        ("a.mp4", None, None, 25),
        ("a.mp4", None, None, clips.NTSC),
        ("a.mkv", [0, 1, 40, 41, 500, 501, 777, 2000, 2033, 2067], Fraction(1, 1000), 25),
        ("a.mp4", [900, 901, 940, 991, 1500, 1501, 1777, 3000, 3033, 9067], Fraction(1, 600), 25),
        ("a.ts", None, None, 50),
        ("a.avi", None, None, clips.NTSC),
        ("a.nut", [40_003 * index for index in range(10)], Fraction(1, 1_000_003), 25),
    ],
)
def test_each_frame_keeps_its_exact_time(
    tmp_path: Path,
    name: str,
    ticks: list[int] | None,
    base: Fraction | None,
    rate: Fraction | int,
) -> None:
    codec = {"a.avi": "mpeg4", "a.nut": "ffv1"}.get(name, "libx264")
    source = clips.write_video(
        tmp_path / name,
        clips.moving_squares(10),
        codec=codec,
        ticks=ticks,
        time_base=base,
        rate=rate,
    )
    copy = annotate(source, tmp_path / "out.mp4")
    assert len(times(copy)) == 10
    if name == "a.nut":  # a clock too fine for an mp4
        expected = [float(each) for each in relative_times(source)]
        assert [float(each) for each in relative_times(copy)] == pytest.approx(
            expected, abs=1 / 90_000
        )
    elif name == "a.avi":  # it stores no presentation times, only a rate
        assert relative_times(copy) == [Fraction(index) / Fraction(rate) for index in range(10)]
    else:
        assert relative_times(copy) == relative_times(source)


@pytest.mark.parametrize(
    ("name", "ticks_per_second", "hours"), [("a.nut", 90_000, 6), ("a.mkv", 1000, 37)]
)
def test_a_pause_that_mp4_cannot_express_is_an_error_with_advice(
    tmp_path: Path, name: str, ticks_per_second: int, hours: int
) -> None:
    def paused(by_hours: int) -> Path:
        before = [index * ticks_per_second // 25 for index in range(10)]
        return clips.write_video(
            tmp_path / name,
            clips.moving_squares(11),
            ticks=[*before, by_hours * 3600 * ticks_per_second],
            time_base=Fraction(1, ticks_per_second),
        )

    source = paused(hours)
    assert relative_times(annotate(source, tmp_path / "out.mp4")) == relative_times(source)
    with pytest.raises(MediaError, match=f"pauses for {hours + 1}.0 hours.*without one"):
        annotate(paused(hours + 1), tmp_path / "out.mp4")


LIMIT = MAX_PAUSE_TICKS  # of a clock of 90 kHz


@pytest.mark.parametrize(
    ("ticks", "is_kept"),
    [
        ([0, LIMIT], True),
        ([0, LIMIT + 1], False),
        ([0, 3600, LIMIT // 2], True),
        ([0, 3600, LIMIT // 2 + 3600], False),  # frames are decoded two places early
        ([0, LIMIT // 2, LIMIT], False),
    ],
)
def test_pauses_between_a_few_frames_are_kept_or_named(
    tmp_path: Path, *, ticks: list[int], is_kept: bool
) -> None:
    source = clips.write_video(
        tmp_path / "a.nut",
        clips.moving_squares(len(ticks)),
        ticks=ticks,
        time_base=Fraction(1, 90_000),
    )
    if is_kept:
        assert relative_times(annotate(source, tmp_path / "out.mp4")) == relative_times(source)
    else:
        with pytest.raises(MediaError, match=r"pauses for .*hours.*without one"):
            annotate(source, tmp_path / "out.mp4")


def test_an_animation_keeps_the_times_of_its_frames_and_the_duration_of_the_last(
    tmp_path: Path,
) -> None:
    source = clips.write_animation(
        tmp_path / "a.gif", clips.moving_squares(4), [40, 500, 70, 900], loop=0
    )
    copy = annotate(source, tmp_path / "out.mp4")
    assert times(copy) == [Fraction(ms, 1000) for ms in (0, 40, 540, 610)]
    with av.open(str(copy)) as container:
        assert container.duration == 1_510_000


@pytest.mark.parametrize("size_wh", [(65, 49), (64, 49), (1, 1), (3, 2)])
def test_an_odd_width_or_height_grows_by_one_pixel(
    tmp_path: Path, size_wh: tuple[int, int]
) -> None:
    width, height = size_wh
    drawn = clips.picture(width=width, height=height, background=(30, 60, 200))
    source = clips.write_video(tmp_path / "a.mkv", [drawn] * 3, codec="ffv1", pix_fmt="bgr0")
    copy = annotate(source, tmp_path / "out.mp4")
    with av.open(str(copy)) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert frames[0].shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(frames[2].astype(int) - (30, 60, 200)).max() < 12, "the colours are preserved"


def test_the_copy_of_a_rotated_source_is_upright_without_rotation_metadata(tmp_path: Path) -> None:
    source = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(5), rotation=90)
    with av.open(str(annotate(source, tmp_path / "out.mp4"))) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.rotation) == (48, 64, 0)


def test_faces_are_drawn(tmp_path: Path) -> None:
    pictures = [clips.picture(width=320, height=240)] * 3
    source = clips.write_video(tmp_path / "a.mp4", pictures)
    plain = annotate(source, tmp_path / "plain.mp4")
    drawn = annotate(source, tmp_path / "drawn.mp4", faces=[make_face()])
    shown = []
    for path in (plain, drawn):
        with av.open(str(path)) as container:
            shown.append(next(container.decode(video=0)).to_ndarray(format="bgr24").astype(int))
    assert np.abs(shown[1] - shown[0]).max() > 80
    assert np.abs(shown[1] - shown[0])[200:, 250:].max() < 12, "only where the face is"


def test_a_truncated_source_gives_a_complete_copy_of_its_readable_frames(tmp_path: Path) -> None:
    whole = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving_squares(40),
        sounds=[Sound("aac", 1.6)],
        options={"movflags": "+faststart"},
        codec_options={"qp": "1", "g": "1"},
    )
    truncated = clips.write_truncated(tmp_path / "b.mp4", whole, kept=0.7)
    found = relative_times(annotate(truncated, tmp_path / "out.mp4", is_truncated=True))
    assert 3 < len(found) < 40
    assert found == relative_times(whole)[: len(found)]


def test_no_file_is_visible_before_the_end_or_left_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    source = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(5), sounds=[Sound()])

    def interrupted() -> None:
        with (
            open_frames(source, max_pixels=MAX_PIXELS) as reader,
            AnnotatedVideo(target, info=reader.info, source=source) as sink,
        ):
            for frame in reader:
                sink.add(frame, [], analysed=True)
                assert not target.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_camera_without_clock_and_sound_is_recorded(tmp_path: Path) -> None:
    info = MediaInfo("video", "camera", 64, 48, None, None, None, has_audio=False)
    with AnnotatedVideo(tmp_path / "out.mp4", info=info) as sink:
        for index, time_ms in enumerate([0.0, 33.4, 33.6, 100.0]):
            sink.add(Frame(index, time_ms, clips.picture()), [], analysed=True)
        sink.finish([])
    assert times(tmp_path / "out.mp4") == [Fraction(ms, 1000) for ms in (0, 33, 34, 100)]


FULL_DISK = """
import errno, os, sys
from pathlib import Path
from faces_jobs.errors import StorageFullError
from faces_jobs.pipeline.values import Frame, MediaInfo
from faces_jobs.sinks.video import AnnotatedVideo
import numpy as np

info = MediaInfo("video", "mov", 640, 480, None, None, None, has_audio=False)
noise = np.random.default_rng(1)
try:
    with AnnotatedVideo(Path(sys.argv[1]), info=info) as sink:
        for index in range(200):
            picture = noise.integers(0, 255, (480, 640, 3), np.uint8)
            sink.add(Frame(index, index * 40.0, picture), [], analysed=True)
        sink.finish([])
except StorageFullError as error:
    print("reported:", error)
"""


def test_a_full_disk_is_reported_and_no_file_is_left(tmp_path: Path) -> None:
    # A disk of two megabytes in a mount namespace of its own, which ends with the process.
    own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=2m tmpfs {shlex.quote(str(tmp_path))}"
    if subprocess.run([*own_disk, mount], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    write = shlex.join([sys.executable, "-c", FULL_DISK, str(tmp_path / "out.mp4")])
    script = f"{mount} && {write} && ls {shlex.quote(str(tmp_path))}"
    done = subprocess.run([*own_disk, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()  # nothing was listed by `ls`
    assert line.startswith("reported: The server's disk is full")


def test_a_disk_that_is_full_from_the_start_is_reported(tmp_path: Path) -> None:
    source = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3), sounds=[Sound()])
    for _ in range(10):  # the crash that this prevents does not come every time
        # Written under this name first, and every write to this device meets a full disk.
        (tmp_path / "out.mp4.part").symlink_to("/dev/full")
        with pytest.raises(StorageFullError):
            annotate(source, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
