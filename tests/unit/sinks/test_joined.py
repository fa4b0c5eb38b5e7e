"""Joining annotated parts: every frame once, with its exact time, and the sound unchanged."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faces_jobs.errors import MediaError
from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.values import Frame, MediaInfo
from faces_jobs.sinks.encoders import Encoder
from faces_jobs.sinks.joined import PART_FORMAT, join_parts
from faces_jobs.sinks.video import AnnotatedVideo
from tests import clips

TICKS = list(itertools.accumulate([0, 40, 1, 90, 33, 7, 400, 40, 41] * 6))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A clip with irregular frame times, whose sound begins before the pictures."""
    return clips.write_video(
        tmp_path / "source.mkv",
        clips.moving_squares(len(TICKS)),
        ticks=[500 + tick for tick in TICKS],
        time_base=Fraction(1, 1000),
        sounds=[clips.Sound(seconds=5.0, start_seconds=0.2)],
    )


def frames_of(source: Path) -> tuple[MediaInfo, list[Frame]]:
    with open_frames(source, max_pixels=10_000) as reader:
        return reader.info, list(reader)


def annotate(path: Path, info: MediaInfo, frames: list[Frame], **options: Any) -> Path:
    with AnnotatedVideo(path, info=info, **options) as video:
        for frame in frames:
            video.add(frame, (), analysed=True)
        video.finish(())
    return path


def join(source: Path, cuts: list[int]) -> Path:
    """Annotate the source in parts that begin at these frames, and join them."""
    info, frames = frames_of(source)
    edges = [0, *cuts, len(frames)]
    parts = [
        annotate(source.with_name(f"{start}.nut"), info, frames[start:end], format=PART_FORMAT)
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
    """(pts, dts, duration, data) of each packet of a stream."""
    with av.open(str(path), "r") as container:
        stream = container.streams.best(kind)  # type: ignore[arg-type]  # "audio" or "video"
        return [
            (packet.pts or 0, packet.dts or 0, packet.duration or 0, bytes(packet))
            for packet in container.demux(stream)
            if packet.size
        ]


def decode(path: Path) -> tuple[list[int], list[Any]]:
    """Times and gray pictures of a video."""
    with av.open(str(path), "r") as container:
        frames = list(container.decode(video=0))
    return [frame.pts or 0 for frame in frames], [f.to_ndarray(format="gray") for f in frames]


@pytest.mark.parametrize("cuts", [[20], [1, 2, 30], [], [13, 27, 53]])
def test_joined_parts_equal_a_file_annotated_as_a_whole(source: Path, cuts: list[int]) -> None:
    info, frames = frames_of(source)
    whole = annotate(source.with_name("whole.mp4"), info, frames, source=source)
    path = join(source, cuts)

    times, pictures = decode(path)
    expected_times, expected_pictures = decode(whole)
    assert times == expected_times
    assert all(one < other for one, other in itertools.pairwise(times))
    assert (
        max(
            np.abs(one.astype(int) - other).mean()
            for one, other in zip(pictures, expected_pictures, strict=True)
        )
        < 6
    )
    video = packets(path, "video")
    assert all(one[1] < other[1] for one, other in itertools.pairwise(video)), "dts increase"
    assert all(dts <= pts for pts, dts, _, _ in video)
    assert packets(path, "audio") == packets(whole, "audio")
    with av.open(str(path), "r") as joined, av.open(str(whole), "r") as single:
        assert joined.streams.video[0].duration == single.streams.video[0].duration
        assert joined.duration == single.duration


def test_joining_encodes_nothing_again(source: Path) -> None:
    joined_bytes = {data for *_, data in packets(join(source, [20]), "video")}
    info, frames = frames_of(source)
    second = annotate(source.with_name("second.mp4"), info, frames[20:])
    assert len(joined_bytes & {data for *_, data in packets(second, "video")}) >= len(frames) - 21


def test_parts_that_overlap_are_refused(source: Path) -> None:
    info, frames = frames_of(source)
    parts = [
        annotate(source.with_name(f"{start}.nut"), info, frames[start : start + 20], format="nut")
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


@pytest.mark.parametrize(
    ("hours", "message"), [((0, 40), r"pauses for 40\.0 hours"), ((30, 60), "pauses for hours")]
)
def test_pauses_between_parts_that_mp4_cannot_express_are_refused(
    source: Path, hours: tuple[int, int], message: str
) -> None:
    info, frames = frames_of(source)
    # The part in the middle is so short that the pauses around it are between a few frames.
    later = [
        [replace(frame, time_ms=frame.time_ms + by * 3600 * 1000) for frame in part]
        for by, part in zip(hours, (frames[20:21], frames[21:]), strict=True)
    ]
    parts = [
        annotate(source.with_name(f"{number}.nut"), info, part, format=PART_FORMAT)
        for number, part in enumerate((frames[:20], *later))
    ]
    with pytest.raises(MediaError, match=message):
        join_parts(
            parts,
            source.with_name("x.mp4"),
            info=info,
            source=source,
            last_duration_ms=40.0,
            on_progress=lambda: None,
        )


def test_parts_that_were_encoded_differently_are_refused(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info, frames = frames_of(source)
    first = annotate(source.with_name("1.nut"), info, frames[:20], format="nut")
    other = Encoder("libx264", {"preset": "ultrafast", "crf": "22"})
    monkeypatch.setattr("faces_jobs.sinks.encoders.X264", other)
    second = annotate(source.with_name("2.nut"), info, frames[20:], format="nut")
    with pytest.raises(NotCuttableError, match="encoded differently"):
        join_parts(
            [first, second],
            source.with_name("x.mp4"),
            info=info,
            source=source,
            last_duration_ms=40.0,
            on_progress=lambda: None,
        )
