"""Sound of concatenated, overlapping or changing recordings stays in sync with the pictures."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from faces_jobs.pipeline.frames import open_frames
from faces_jobs.sinks.video import AnnotatedVideo
from tests import clips
from tests.clips import Sound

FRAMES = 50  # two seconds


def recording(path: Path, sound: Sound, *, begin: int = 0) -> bytes:
    """Write two seconds of a broadcast whose pictures begin at this frame; return its bytes."""
    ticks = list(range(begin, begin + FRAMES))
    clips.write_video(
        path, clips.moving_squares(FRAMES), ticks=ticks, sounds=[sound], format="mpegts"
    )
    return path.read_bytes()


def trimmed(path: Path, source: Path, *, ticks: int) -> Path:
    """Write a copy of a video whose edit list hides all before a time of the picture's clock."""
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(source)) as original, av.open(str(path), "w", options=options) as container:
        base = original.streams.video[0].time_base or Fraction(0)
        targets = {
            stream.index: container.add_stream_from_template(stream)
            for stream in (original.streams.video[0], original.streams.audio[0])
        }
        for packet in original.demux():
            if not packet.size or packet.pts is None or packet.dts is None:
                continue
            moved = round(ticks * base / packet.time_base)
            packet.pts, packet.dts = packet.pts - moved, packet.dts - moved
            packet.stream = targets[packet.stream_index]
            container.mux(packet)
    return path


def annotate(source: Path) -> Path:
    copy = source.with_suffix(".mp4")
    with (
        open_frames(source, max_pixels=1_000_000) as reader,
        AnnotatedVideo(copy, info=reader.info, source=source) as sink,
    ):
        for frame in reader:
            sink.add(frame, [], analysed=True)
        sink.finish([])
    return copy


def times(path: Path, kind: str) -> list[float]:
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        return sorted(float(packet.pts * packet.time_base) for packet in packets)


@pytest.mark.parametrize("codec", ["aac", "ac3", "mp2"])
@pytest.mark.parametrize("seconds", [1.5, 2.3])
def test_the_sound_of_concatenated_recordings_restarts_with_their_pictures(
    tmp_path: Path, codec: str, seconds: float
) -> None:
    recorded = recording(tmp_path / "one.ts", Sound(codec, seconds))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(recorded * 3)
    copy = annotate(joined)
    alone = annotate(tmp_path / "one.ts")
    assert len(times(copy, "video")) == 3 * FRAMES
    heard, single = times(copy, "audio"), times(alone, "audio")
    assert max(heard) == pytest.approx(4 + max(single), abs=0.05)
    pauses = [(a, b) for a, b in itertools.pairwise(heard) if b - a > 0.1]
    expected = [(at + max(single), at + 2 + min(single)) for at in (0, 2)] if seconds < 2 else []
    assert len(pauses) == len(expected)
    assert np.abs(np.subtract(pauses, expected)).max(initial=0) < 0.05


@pytest.mark.parametrize(
    "change", [Sound("ac3", 2.0, layout="5.1"), Sound("ac3", 2.0, rate=44100, layout="stereo")]
)
def test_sound_may_change_its_layout_and_its_rate(tmp_path: Path, change: Sound) -> None:
    first = recording(tmp_path / "1.ts", Sound("ac3", 2.0, layout="stereo"))
    later = Sound(change.codec, 2.0, 2.0, rate=change.rate, layout=change.layout)
    path = tmp_path / "both.ts"
    path.write_bytes(first + recording(tmp_path / "2.ts", later, begin=FRAMES))
    copy = annotate(path)
    assert len(times(copy, "video")) == 2 * FRAMES
    with av.open(str(copy)) as container:
        frames = list(container.decode(audio=0))
    assert {(frame.layout.name, frame.sample_rate) for frame in frames} == {("stereo", 48000)}
    end = (frames[-1].pts or 0) * (frames[-1].time_base or Fraction(0))
    assert end == pytest.approx(4.0, abs=0.1)
    assert np.abs(frames[-8].to_ndarray()).max() > 0.05, "the tone is still there"


@pytest.mark.parametrize("codec", ["aac", "ac3"])
def test_sound_that_overlaps_earlier_sound_is_left_out(
    tmp_path: Path, codec: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = recording(tmp_path / "1.ts", Sound(codec, 2.0))
    path = tmp_path / "both.ts"
    later = recording(tmp_path / "2.ts", Sound(codec, 2.0, start_seconds=1.9), begin=FRAMES)
    path.write_bytes(first + later)
    copy = annotate(path)
    assert len(times(copy, "video")) == 2 * FRAMES
    heard = times(copy, "audio")
    assert np.diff(heard).min() > 0
    assert max(heard) == pytest.approx(3.9, abs=0.1)
    assert "audio packets dropped" in caplog.text


def test_sound_in_packets_shorter_than_the_ticks_of_its_clock_is_complete(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clips.write_video(
        tmp_path / "a.mkv",
        clips.moving_squares(FRAMES),
        sounds=[Sound("pcm_s16le", 2.0, packet_samples=40)],  # as TrueHD; rounded to milliseconds
    )
    heard = times(annotate(source), "audio")
    assert heard[-1] == pytest.approx(2.0, abs=0.05)
    assert np.diff(heard).max() < 0.03
    assert "dropped" not in caplog.text


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_sound_that_was_trimmed_away_is_left_out(tmp_path: Path, codec: str) -> None:
    whole = clips.write_video(
        tmp_path / "whole.mov", clips.moving_squares(FRAMES), sounds=[Sound(codec, 2.0)]
    )
    copy = annotate(trimmed(tmp_path / "trimmed.mov", whole, ticks=round(0.6 * 12800)))
    assert times(copy, "video")[0] == 0
    heard = times(copy, "audio")
    assert -0.1 < heard[0] < 0.05
    assert heard[-1] == pytest.approx(1.4, abs=0.05)
