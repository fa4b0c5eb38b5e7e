"""The frames of all parts of a video together are exactly those of the whole video."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.errors import TruncatedError
from faces_jobs.pipeline.cutting import cuts
from faces_jobs.pipeline.cutting.cuts import plan_parts
from faces_jobs.pipeline.cutting.part_reader import PartReader
from faces_jobs.pipeline.cutting.plan import NotCuttableError, Part, Plan
from faces_jobs.pipeline.reading.video_reader import VideoReader
from faces_jobs.pipeline.values import Frame
from tests import clips

MAX_PIXELS = 1_000_000
# Name -> suffix, demuxer, encoder and its options for a key frame every {g} frames.
KINDS = {
    "mp4": (".mp4", "mov", "libx264", "g={g}:bf=2"),
    "open h264": (".mkv", "matroska", "libx264", "x264-params=open-gop=1;keyint={g};bframes=2"),
    "refreshed": (".mp4", "mov", "libx264", "g={g}:intra-refresh=1"),
    "ts": (".ts", "mpegts", "libx264", "g={g}:bf=2"),
    "open ts": (".ts", "mpegts", "libx264", "x264-params=open-gop=1;keyint={g};bframes=2"),
    "flv": (".flv", "flv", "libx264", "g={g}"),
    "mpeg2": (".mpg", "mpeg", "mpeg2video", "g={g}:bf=2"),
    "mpeg4": (".mkv", "matroska", "mpeg4", "g={g}:bf=2"),
    "avi": (".avi", "avi", "mpeg4", "g={g}"),
    "vp9": (".webm", "matroska", "libvpx-vp9", "g={g}:cpu-used=8:deadline=realtime"),
    "vp8": (".webm", "matroska", "libvpx", "g={g}:auto-alt-ref=1:lag-in-frames=8:cpu-used=8"),
    "intra": (".mov", "mov", "mjpeg", ""),
}
# Frames before a key frame may be stored after it, and refer to what precedes it.
OPEN = {"open h264", "open ts", "mpeg2", "mpeg4"}
OFTEN_CUT = {"mp4", "open h264", "ts", "open ts", "mpeg2", "mpeg4", "flv", "vp9", "intra"}


def write_clip(
    folder: Path, kind: str, frames: int, gop: int, ticks: list[int] | None = None
) -> tuple[Path, str]:
    """Write a clip of this kind, in which all frames differ."""
    suffix, demuxer, codec, options = KINDS[kind]
    folder.mkdir(exist_ok=True)
    pictures = clips.moving_squares(frames, width=128, height=48)
    for index, drawn in enumerate(pictures):
        drawn[40:48, : 2 * index + 1] = 255
    chosen = dict(
        pair.replace(";", ":").split("=", 1) for pair in options.format(g=gop).split(":") if pair
    )
    path = clips.write_video(
        folder / f"clip{suffix}",
        pictures,
        codec=codec,
        pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        ticks=ticks,
        time_base=None if ticks is None else Fraction(1, 1000),
        codec_options=chosen,
    )
    return path, demuxer


def plan(path: Path, demuxer: str, seconds: float, *, stride: int = 1) -> Plan:
    with VideoReader(path, demuxer, max_pixels=MAX_PIXELS) as reader:
        first_pts = reader.first_pts
    return plan_parts(
        path,
        demuxer,
        max_pixels=MAX_PIXELS,
        first_pts=first_pts,
        seconds=seconds,
        stride=stride,
    )


def whole(path: Path, demuxer: str) -> list[Frame]:
    with VideoReader(path, demuxer, max_pixels=MAX_PIXELS) as reader:
        frames = list(reader)
        assert reader.damaged_frames == 0
        return frames


def read(path: Path, demuxer: str, part: Part) -> list[Frame]:
    with PartReader(path, demuxer, part, max_pixels=MAX_PIXELS) as reader:
        assert reader.info.frame_count == part.frames
        frames = list(reader)
        assert reader.damaged_frames == 0
        return frames


def assert_same(parts: list[Frame], sequential: list[Frame]) -> None:
    assert [frame.index for frame in parts] == [frame.index for frame in sequential]
    assert [frame.time_ms for frame in parts] == [frame.time_ms for frame in sequential]
    assert [frame.duration_ms for frame in parts] == [frame.duration_ms for frame in sequential]
    for one, other in zip(parts, sequential, strict=True):
        assert np.array_equal(one.picture_bgr, other.picture_bgr), f"frame {one.index}"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frames=st.integers(20, 60),
    gop=st.sampled_from([1, 3, 7, 12, 25]),
    seconds=st.sampled_from([0.1, 0.3, 0.5, 1.0]),
)
def test_the_frames_of_all_parts_are_those_of_the_whole(
    kind: str, frames: int, gop: int, seconds: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, demuxer = write_clip(Path(folder), kind, frames, gop)
        found = plan(path, demuxer, seconds)
        if not found.parts:
            assert found.reason
            return
        sequential = whole(path, demuxer)
        try:
            joined_frames = [frame for part in found.parts for frame in read(path, demuxer, part)]
        except NotCuttableError:
            assert kind not in OFTEN_CUT
            return
        assert_same(joined_frames, sequential)


@pytest.mark.parametrize("kind", sorted(OFTEN_CUT))
def test_these_kinds_are_cut_and_decoded_from_a_key_frame_that_nothing_refers_across(
    kind: str, tmp_path: Path
) -> None:
    path, demuxer = write_clip(tmp_path, kind, 60, 10)
    parts = plan(path, demuxer, 0.5).parts
    assert len(parts) >= 3, plan(path, demuxer, 0.5).reason
    assert sum(part.frames for part in parts) == 60
    keys = [part.key for part in parts[1:] if part.key is not None]
    starts = [part.start_pts for part in parts[1:]]
    earlier = [key.pts < start for key, start in zip(keys, starts, strict=True)]
    assert set(earlier) == {kind in OPEN}


def test_parts_have_the_square_pixels_of_the_whole(tmp_path: Path) -> None:
    path = clips.write_video(
        tmp_path / "a.ts",
        clips.moving_squares(60),
        pixel_aspect=Fraction(16, 11),
        codec_options={"g": "10"},
    )
    parts = plan(path, "mpegts", 0.5).parts
    assert len(parts) >= 3
    joined_frames = [frame for part in parts for frame in read(path, "mpegts", part)]
    assert joined_frames[0].picture_bgr.shape == (48, 94, 3)
    assert_same(joined_frames, whole(path, "mpegts"))


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    gaps=st.lists(st.sampled_from([1, 7, 33, 40, 41, 400]), min_size=15, max_size=40),
    kind=st.sampled_from(["mp4", "open h264", "ts", "mpeg4"]),
    start=st.sampled_from([0, 3, 1500]),
    stride=st.integers(1, 4),
)
def test_varying_times_and_late_starts_are_kept(
    gaps: list[int], kind: str, start: int, stride: int
) -> None:
    ticks = list(itertools.accumulate([start, *gaps]))
    with tempfile.TemporaryDirectory() as folder:
        path, demuxer = write_clip(Path(folder), kind, len(ticks), 6, ticks)
        parts = plan(path, demuxer, 0.2, stride=stride).parts
        sequential = whole(path, demuxer)
        try:
            assert_same(
                [f for part in parts for f in read(path, demuxer, part)] or sequential, sequential
            )
        except NotCuttableError:
            # MPEG-TS counts at 90 kHz: frames a millisecond apart may get the same time.
            assert 1 in gaps
        for part in parts[1:]:
            taken = [f for f in sequential[: part.first_frame] if f.index % stride == 0]
            assert part.sampled_ms == taken[-1].time_ms


def test_an_edit_list_that_starts_late_is_applied(tmp_path: Path) -> None:
    """As in trimmed recordings of phones, the first frames are decoded but not shown."""
    path, demuxer = write_clip(tmp_path, "mp4", 60, 10)
    data = path.read_bytes()
    at = data.index(b"elst")
    # version, count, then duration, media time and rate of the one edit: skip 7 frames.
    media_time = int.from_bytes(data[at + 16 : at + 20], "big") + 7 * 512
    path.write_bytes(data[: at + 16] + media_time.to_bytes(4, "big") + data[at + 20 :])
    sequential = whole(path, demuxer)
    assert len(sequential) < 60
    parts = plan(path, demuxer, 0.5).parts
    assert len(parts) >= 3
    assert_same([frame for part in parts for frame in read(path, demuxer, part)], sequential)


def test_a_truncated_file_is_truncated_in_its_last_part(tmp_path: Path) -> None:
    path, demuxer = write_clip(tmp_path, "open h264", 60, 10)
    cut = clips.write_truncated(tmp_path / "cut.mkv", path, kept=0.8)
    sequential: list[Frame] = []
    with VideoReader(cut, demuxer, max_pixels=MAX_PIXELS) as reader, pytest.raises(TruncatedError):
        sequential.extend(reader)
    parts = plan(cut, demuxer, 0.4).parts
    assert len(parts) >= 3
    joined_frames = [frame for part in parts[:-1] for frame in read(cut, demuxer, part)]
    with (
        PartReader(cut, demuxer, parts[-1], max_pixels=MAX_PIXELS) as reader,
        pytest.raises(TruncatedError),
    ):
        joined_frames.extend(reader)
    assert_same(joined_frames, sequential)


def test_if_seeking_overshoots_packets_are_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, demuxer = write_clip(tmp_path, "mp4", 60, 10)
    part = plan(path, demuxer, 0.5).parts[2]
    assert part.key is not None
    misplaced = replace(part, key=replace(part.key, dts=part.key.pts + 10_000, pts=part.key.pts))
    monkeypatch.setattr("faces_jobs.pipeline.cutting.part_reader.min", max, raising=False)
    assert_same(
        read(path, demuxer, misplaced),
        whole(path, demuxer)[part.first_frame : part.first_frame + part.frames],
    )


def test_a_plan_for_another_file_is_detected(tmp_path: Path) -> None:
    path, demuxer = write_clip(tmp_path, "mp4", 60, 10)
    part = plan(path, demuxer, 0.5).parts[1]
    with pytest.raises(NotCuttableError):
        read(path, demuxer, replace(part, frames=part.frames - 1))
    assert part.key is not None
    with pytest.raises(NotCuttableError):
        read(path, demuxer, replace(part, key=replace(part.key, size=1)))
    assert Part.from_json(part.to_json()) == part


def test_a_video_of_days_has_longer_parts_not_any_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, demuxer = write_clip(tmp_path, "ts", 40, 1)
    assert len(plan(path, demuxer, 0.1).parts) > 10
    monkeypatch.setattr(cuts, "MAX_PARTS", 5)
    assert len(plan(path, demuxer, 0.1).parts) == 5


def test_a_short_video_is_not_cut(tmp_path: Path) -> None:
    found = plan(*write_clip(tmp_path, "intra", 20, 1), 10.0)
    assert found.parts == ()
    assert "short" in found.reason


@pytest.mark.parametrize(
    ("kind", "reason"), [("ts", "it is damaged"), ("mpeg2", "its timestamps go back")]
)
def test_a_joined_recording_with_restarting_times_is_not_cut(
    tmp_path: Path, kind: str, reason: str
) -> None:
    path, demuxer = write_clip(tmp_path, kind, 60, 10)
    path.write_bytes(path.read_bytes() * 2)  # counters of TS packets restart as well
    found = plan(path, demuxer, 0.5)
    assert (found.parts, found.reason) == ((), reason)


def test_a_stream_without_timestamps_is_not_cut(tmp_path: Path) -> None:
    path = clips.write_video(tmp_path / "bare", clips.moving_squares(40), format="h264")
    found = plan(path, "h264", 0.2)
    assert (found.parts, found.reason) == ((), "its stream has no timestamps")
