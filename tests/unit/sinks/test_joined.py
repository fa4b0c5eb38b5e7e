"""Annotated parts that are joined: no picture lost or doubled, times exact, sound untouched."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faces_jobs.pipeline.cut_plan import NotCuttableError
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Frame, MediaInfo
from faces_jobs.sinks.encoders import Encoder
from faces_jobs.sinks.joined import PART_FORMAT, join_parts
from faces_jobs.sinks.video import AnnotatedVideo
from tests import clips

TICKS = list(itertools.accumulate([0, 40, 1, 90, 33, 7, 400, 40, 41] * 6))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clip of a clock that trembles, its sound early."""
    return clips.write_video(
        tmp_path / "source.mkv",
        clips.moving(len(TICKS)),
        ticks=[500 + tick for tick in TICKS],
        time_base=Fraction(1, 1000),
        sounds=[clips.Sound(seconds=5.0, start_seconds=0.2)],
    )


def frames_of(source: Path) -> tuple[MediaInfo, list[Frame]]:
    with open_frames(source, max_pixels=10_000) as reader:
        return reader.info, list(reader)


def written(path: Path, info: MediaInfo, frames: list[Frame], **options: Any) -> Path:
    with AnnotatedVideo(path, info=info, **options) as video:
        for frame in frames:
            video.add(frame, (), analysed=True)
        video.finish(())
    return path


def joined(source: Path, cuts: list[int]) -> Path:
    info, frames = frames_of(source)
    edges = [0, *cuts, len(frames)]
    parts = [
        written(source.with_name(f"{start}.nut"), info, frames[start:end], format=PART_FORMAT)
        for start, end in itertools.pairwise(edges)
    ]
    path = source.with_name("joined.mp4")
    count = join_parts(
        parts,
        path,
        info=info,
        source=source,
        last_duration_ms=frames[-1].duration_ms or 0.0,
        on_progress=lambda: None,
    )
    assert count == len(frames)
    return path


def packets(path: Path, kind: str) -> list[tuple[int, int, int, bytes]]:
    with av.open(str(path), "r") as container:
        stream = container.streams.best(kind)  # type: ignore[arg-type]  # "audio" or "video"
        return [
            (packet.pts or 0, packet.dts or 0, packet.duration or 0, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def decoded(path: Path) -> tuple[list[int], list[Any]]:
    with av.open(str(path), "r") as container:
        frames = list(container.decode(video=0))
    return [frame.pts or 0 for frame in frames], [f.to_ndarray(format="gray") for f in frames]


@pytest.mark.parametrize("cuts", [[20], [1, 2, 30], [], [13, 27, 53]])
def test_pictures_times_and_sound_are_those_of_one_file(source: Path, cuts: list[int]) -> None:
    info, frames = frames_of(source)
    whole = written(source.with_name("whole.mp4"), info, frames, source=source)
    path = joined(source, cuts)

    times, pictures = decoded(path)
    times_in_one, pictures_in_one = decoded(whole)
    assert times == times_in_one
    assert all(one < other for one, other in itertools.pairwise(times))
    assert (
        max(
            np.abs(one.astype(int) - other).mean()
            for one, other in zip(pictures, pictures_in_one, strict=True)
        )
        < 6
    )
    video = packets(path, "video")
    assert all(one[1] < other[1] for one, other in itertools.pairwise(video)), "dts rise"
    assert all(dts <= pts for pts, dts, _, _ in video)
    assert packets(path, "audio") == packets(whole, "audio")
    with av.open(str(path), "r") as ours, av.open(str(whole), "r") as theirs:
        assert ours.streams.video[0].duration == theirs.streams.video[0].duration
        assert ours.duration == theirs.duration


def test_nothing_is_encoded_again(source: Path) -> None:
    joined_bytes = {data for *_, data in packets(joined(source, [20]), "video")}
    info, frames = frames_of(source)
    second = written(source.with_name("second.mp4"), info, frames[20:])
    assert len(joined_bytes & {data for *_, data in packets(second, "video")}) >= len(frames) - 21


def test_parts_that_do_not_follow_each_other_are_refused(source: Path) -> None:
    info, frames = frames_of(source)
    parts = [
        written(source.with_name(f"{start}.nut"), info, frames[start : start + 20], format="nut")
        for start in (0, 15)
    ]
    with pytest.raises(NotCuttableError, match="overlap"):
        join_parts(
            parts,
            source.with_name("x.mp4"),
            info=info,
            source=source,
            last_duration_ms=40.0,
            on_progress=lambda: None,
        )


def test_parts_of_different_encoders_are_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, frames = frames_of(source)
    first = written(source.with_name("1.nut"), info, frames[:20], format="nut")
    other = Encoder("libx264", {"preset": "ultrafast", "crf": "22"})
    monkeypatch.setattr("faces_jobs.sinks.encoders.X264", other)
    second = written(source.with_name("2.nut"), info, frames[20:], format="nut")
    with pytest.raises(NotCuttableError, match="encoded differently"):
        join_parts(
            [first, second],
            source.with_name("x.mp4"),
            info=info,
            source=source,
            last_duration_ms=40.0,
            on_progress=lambda: None,
        )
