"""Sound is kept in copies, in sync with the pictures, also that of concatenated recordings."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import clips
from tests.clips import Sound
from tests.unit.sinks.copies import annotate, packets_of, relative_times, times

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


def annotated(source: Path) -> Path:
    """The annotated copy of a source, beside it."""
    return annotate(source, source.with_suffix(".copy.mp4"))


def heard_at(path: Path) -> list[float]:
    """When the packets of the sound begin, in seconds."""
    return [float(time) for time in times(path, "audio")]


@pytest.mark.parametrize("codec", ["aac", "ac3", "mp2"])
@pytest.mark.parametrize("seconds", [1.5, 2.3])
def test_the_sound_of_concatenated_recordings_restarts_with_their_pictures(
    tmp_path: Path, codec: str, seconds: float
) -> None:
    recorded = recording(tmp_path / "one.ts", Sound(codec, seconds))
    joined = tmp_path / "joined.ts"
    joined.write_bytes(recorded * 3)
    copy = annotated(joined)
    alone = annotated(tmp_path / "one.ts")
    assert len(times(copy)) == 3 * FRAMES
    heard, single = heard_at(copy), heard_at(alone)
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
    copy = annotated(path)
    assert len(times(copy)) == 2 * FRAMES
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
    copy = annotated(path)
    assert len(times(copy)) == 2 * FRAMES
    heard = heard_at(copy)
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
    heard = heard_at(annotated(source))
    assert heard[-1] == pytest.approx(2.0, abs=0.05)
    assert np.diff(heard).max() < 0.03
    assert "dropped" not in caplog.text


def test_sound_whose_packets_are_stamped_unevenly_is_complete(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = clips.write_video(
        tmp_path / "a.mkv",
        clips.moving_squares(FRAMES),
        # As those of Vorbis in Ogg, where packets change their length.
        sounds=[Sound("pcm_s16le", 2.0, packet_samples=128, late_samples=100)],
    )
    assert heard_at(annotated(source))[-1] == pytest.approx(2.0, abs=0.05)
    assert "dropped" not in caplog.text


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_sound_that_was_trimmed_away_is_left_out(tmp_path: Path, codec: str) -> None:
    whole = clips.write_video(
        tmp_path / "whole.mov", clips.moving_squares(FRAMES), sounds=[Sound(codec, 2.0)]
    )
    copy = annotated(trimmed(tmp_path / "trimmed.mov", whole, ticks=round(0.6 * 12800)))
    assert times(copy)[0] == 0
    heard = heard_at(copy)
    assert -0.1 < heard[0] < 0.05
    assert heard[-1] == pytest.approx(1.4, abs=0.05)


@pytest.mark.parametrize(
    ("codec", "name", "rate"),
    [
        ("aac", "a.mp4", 48000),
        ("aac", "a.mp4", 8000),  # a packet lasts an eighth of a second
        ("aac", "a.ts", 48000),
        ("aac", "a.mkv", 48000),
        ("libopus", "a.mkv", 48000),
        ("flac", "a.mkv", 48000),
        ("libmp3lame", "a.avi", 48000),
    ],
)
def test_sound_that_mp4_supports_is_copied_packet_by_packet(
    tmp_path: Path, codec: str, name: str, rate: int
) -> None:
    video = "mpeg4" if name == "a.avi" else "libx264"
    sound = Sound(codec, 1.2, rate=rate)
    source = clips.write_video(
        tmp_path / name, clips.moving_squares(30), codec=video, sounds=[sound]
    )
    copy = annotate(source, tmp_path / "out.mp4")
    before, after = packets_of(source, "audio"), packets_of(copy, "audio")
    with av.open(str(source)) as one, av.open(str(copy)) as other:
        names = [each.streams.audio[0].codec_context.codec.name for each in (one, other)]
    assert names[0] == names[1]
    assert len(after) == len(before)
    adts = 7 if name == "a.ts" else 0  # bytes of the header before each packet of a broadcast
    assert [bytes(packet) for packet in after] == [bytes(packet)[adts:] for packet in before]


@pytest.mark.parametrize(
    ("codec", "name", "rate", "layout"),
    [
        ("pcm_s16le", "a.mov", 44100, "stereo"),
        ("pcm_u8", "a.avi", 11025, "mono"),
        ("pcm_s16le", "a.mkv", 37800, "mono"),
        ("ac3", "a.mkv", 48000, "5.1"),
        ("mp2", "a.ts", 48000, "stereo"),
        ("libmp3lame", "a.mkv", 8000, "mono"),  # mp4 supports MP3 from 16 kHz on
    ],
)
def test_sound_that_browsers_do_not_play_is_encoded_as_aac(
    tmp_path: Path, codec: str, name: str, rate: int, layout: str
) -> None:
    sound = Sound(codec, 1.0, rate=rate, layout=layout)
    video = "mpeg4" if name == "a.avi" else "libx264"
    source = clips.write_video(
        tmp_path / name, clips.moving_squares(25), codec=video, sounds=[sound]
    )
    copy = annotate(source, tmp_path / "out.mp4")
    with av.open(str(copy)) as container:
        track = container.streams.audio[0]
        assert track.codec_context.name == "aac"
        samples = [frame.to_ndarray() for frame in container.decode(track)]
        seconds = sum(each.shape[-1] for each in samples) / track.codec_context.sample_rate
    assert seconds == pytest.approx(1.0, abs=0.02 + 3 * 1024 / rate)  # priming and padding
    assert np.abs(np.concatenate(samples, axis=-1)).max() > 0.05, "the tone is still there"


def test_the_first_packet_of_a_fragmented_file_is_not_stretched_in_the_copy(tmp_path: Path) -> None:
    source = clips.write_video(
        tmp_path / "a.mp4",
        clips.moving_squares(30),
        sounds=[Sound("aac", 1.2)],
        options={"movflags": "frag_keyframe+empty_moov"},
        codec_options={"bf": "2"},
    )
    assert times(source)[0] > times(source, "audio")[0], "the pictures begin later"
    first, second, *_ = times(annotate(source, tmp_path / "out.mp4"), "audio")
    assert (first, second) == (Fraction(-1024, 48000), Fraction(0))


def test_every_audio_track_is_kept_with_its_language(tmp_path: Path) -> None:
    sounds = [Sound("aac", language="eng"), Sound("ac3", language="deu", layout="stereo")]
    source = clips.write_video(tmp_path / "a.mkv", clips.moving_squares(25), sounds=sounds)
    copy = annotate(source, tmp_path / "out.mp4")
    with av.open(str(copy)) as container:
        assert [track.language for track in container.streams.audio] == ["eng", "deu"]
        assert [track.codec_context.name for track in container.streams.audio] == ["aac", "aac"]


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
@pytest.mark.parametrize("late", [0.0, 0.4])
def test_sound_that_begins_later_keeps_its_delay(tmp_path: Path, codec: str, late: float) -> None:
    source = clips.write_video(
        tmp_path / "a.mov", clips.moving_squares(50), sounds=[Sound(codec, 1.0, start_seconds=late)]
    )
    copy = annotate(source, tmp_path / "out.mp4")
    offsets = [float(times(path, "audio")[0] - times(path)[0]) for path in (source, copy)]
    assert offsets[1] == pytest.approx(offsets[0], abs=0.03)
    assert offsets[0] == pytest.approx(late, abs=0.03)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_sound_that_begins_before_the_picture_delays_the_picture(
    tmp_path: Path, codec: str
) -> None:
    source = clips.write_video(
        tmp_path / "a.ts",
        clips.moving_squares(25),
        ticks=[45000 + 3600 * index for index in range(25)],  # half a second late
        time_base=Fraction(1, 90000),
        sounds=[Sound(codec, 1.5)],
    )
    copy = annotate(source, tmp_path / "out.mp4")
    offsets = [float(times(path, "audio")[0] - times(path)[0]) for path in (source, copy)]
    assert offsets[0] == pytest.approx(-0.5, abs=0.03)
    assert offsets[1] == pytest.approx(offsets[0], abs=0.03)
    assert relative_times(copy) == relative_times(source)


def test_sound_shorter_or_longer_than_the_video_is_kept_completely(tmp_path: Path) -> None:
    for seconds in (0.2, 4.0):
        source = clips.write_video(
            tmp_path / f"{seconds}.mp4", clips.moving_squares(30), sounds=[Sound("aac", seconds)]
        )
        copy = annotate(source, tmp_path / f"out-{seconds}.mp4")
        assert times(copy, "audio") == times(source, "audio")
        assert relative_times(copy) == relative_times(source)
