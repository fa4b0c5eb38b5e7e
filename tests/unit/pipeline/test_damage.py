"""Counting the frames that are missing or incomplete because a video is damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from av.packet import Packet

from faces_jobs.pipeline.cutting.cuts import plan_parts
from faces_jobs.pipeline.cutting.part_reader import PartReader
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.reading.damage import Damage
from faces_jobs.pipeline.reading.video_reader import VideoReader
from tests import clips
from tests.field_coded import write_fields

MAX_PIXELS = 1_000_000
FRAMES = 60


def damaged(path: Path, indices: list[int], *, intact: float = 0.0) -> Path:
    return clips.write_damaged(path.with_name(f"damaged-{path.name}"), path, indices, intact=intact)


def read(path: Path) -> tuple[int, int]:
    """Return how many frames were decoded, and how many of the video are damaged."""
    with open_frames(path, max_pixels=MAX_PIXELS) as reader:
        return len(list(reader)), reader.damaged_frames


@pytest.mark.parametrize("indices", [[20], [20, 21], [7, 30, 59], [0]], ids=str)
def test_rejected_packets_are_counted(tmp_path: Path, indices: list[int]) -> None:
    pictures = clips.moving_squares(FRAMES)
    path = clips.write_video(tmp_path / "a.mp4", pictures, codec_options={"g": "1"})
    assert read(path) == (FRAMES, 0)
    assert read(damaged(path, indices)) == (FRAMES - len(indices), len(indices))


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video"])
def test_incomplete_frames_are_counted(tmp_path: Path, codec: str) -> None:
    pictures = clips.moving_squares(FRAMES, width=320, height=240)
    path = clips.write_video(tmp_path / "a.mp4", pictures, codec=codec, codec_options={"g": "1"})
    frames, count = read(damaged(path, [20, 40], intact=0.5))
    assert frames == FRAMES
    assert count == 2


def test_packets_without_a_frame_or_an_error_are_counted(tmp_path: Path) -> None:
    # After a lost key frame the decoder silently drops frames up to the next one.
    path = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving_squares(FRAMES),
        codec="libx265",
        codec_options={"x265-params": "keyint=20:min-keyint=20:scenecut=0:bframes=2:log-level=0"},
    )
    assert read(path) == (FRAMES, 0)
    frames, count = read(damaged(path, [20]))
    assert frames < FRAMES
    assert count >= FRAMES - frames


def test_each_part_counts_its_own_damage(tmp_path: Path) -> None:
    pictures = clips.moving_squares(FRAMES, width=320, height=240)
    whole = clips.write_video(tmp_path / "a.mp4", pictures, codec="mpeg4", codec_options={"g": "5"})
    path = damaged(whole, [2, 19, 20, 41], intact=0.5)
    with VideoReader(path, "mov", max_pixels=MAX_PIXELS) as reader:
        first_pts = reader.first_pts
        list(reader)
        total = reader.damaged_frames
    plan = plan_parts(path, "mov", max_pixels=MAX_PIXELS, first_pts=first_pts, seconds=0.4)
    counts = []
    for part in plan.parts:
        with PartReader(path, "mov", part, max_pixels=MAX_PIXELS) as reader:
            list(reader)
            counts.append(reader.damaged_frames)
    assert len(counts) > 3
    assert sum(counts) == total == 4
    assert max(counts) < 4


def hide(path: Path, source: Path, *, every: int) -> Path:
    """Write a VP8 WebM with some packets marked as hidden frames."""
    with av.open(str(source)) as container, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for number, original in enumerate(container.demux(video=0)):
            data = bytearray(original)
            if not data:
                continue
            if number % every == every // 2 and not original.is_keyframe:
                data[0] &= ~0x10
            copied: Packet[Any] = av.Packet(bytes(data))
            copied.pts, copied.dts = original.pts, original.dts
            copied.time_base, copied.is_keyframe = original.time_base, original.is_keyframe
            copied.stream = stream
            output.mux(copied)
    return path


def test_hidden_frames_are_not_damage(tmp_path: Path) -> None:
    options = {"g": "10", "cpu-used": "8"}
    source = clips.write_video(
        tmp_path / "a.webm", clips.moving_squares(FRAMES), codec="libvpx", codec_options=options
    )
    path = hide(tmp_path / "hidden.webm", source, every=10)
    assert read(path) == (FRAMES - 6, 0)
    with VideoReader(path, "matroska", max_pixels=MAX_PIXELS) as reader:
        first_pts = reader.first_pts
    plan = plan_parts(path, "matroska", max_pixels=MAX_PIXELS, first_pts=first_pts, seconds=0.4)
    assert len(plan.parts) > 3
    frames = 0
    for part in plan.parts:
        with PartReader(path, "matroska", part, max_pixels=MAX_PIXELS) as reader:
            frames += len(list(reader))
            assert reader.damaged_frames == 0
    assert frames == FRAMES - 6


def test_fields_are_not_damage_and_such_videos_are_not_cut(tmp_path: Path) -> None:
    path = write_fields(tmp_path / "a.ts", FRAMES)
    assert read(path) == (FRAMES, 0)
    plan = plan_parts(path, "mpegts", max_pixels=MAX_PIXELS, first_pts=0, seconds=0.4)
    assert plan.reason == "its packets are fields"
    assert not plan.parts


def test_damaged_fields_are_counted(tmp_path: Path) -> None:
    path = write_fields(tmp_path / "a.ts", FRAMES)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    del data[middle : middle + 188 * 40]
    path.write_bytes(data)
    frames, count = read(path)
    assert frames >= FRAMES - 4
    assert count > 0


def packet(pts: int | None) -> Packet[Any]:
    new: Packet[Any] = av.Packet(b"x")
    new.pts = pts
    return new


def frame(pts: int | None) -> av.VideoFrame:
    new = av.VideoFrame(16, 16)
    new.pts = pts
    return new


def test_a_rejected_packet_that_gives_a_frame_counts_once() -> None:
    damage = Damage()
    for pts in range(4):
        damage.packet_sent(packet(pts))
        if pts == 1:
            damage.packet_rejected(packet(pts))
        damage.frame_decoded(frame(pts))
    damage.packet_rejected(packet(None))
    damage.finish()
    assert damage.frames == 2


def test_damage_outside_of_a_part_is_not_counted() -> None:
    damage = Damage(10, 20)
    for pts in range(30):
        damage.packet_sent(packet(pts))
        if pts in {3, 12, 25}:
            damage.packet_rejected(packet(pts))
        elif pts not in {5, 15, 16, 28}:
            damage.frame_decoded(frame(pts))
    damage.finish()
    assert damage.frames == 3


def test_the_number_of_pending_packets_is_bounded() -> None:
    damage = Damage()
    for pts in range(5000):
        damage.packet_sent(packet(pts))
    assert damage.frames == 4000
    damage.finish()
    assert damage.frames == 5000
