"""The sizes that containers declare."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.reading.declared_size import read_declared_size
from tests import clips

WHOLE = {
    "a.mp4": ("libx264", "mov"),
    "a.mov": ("libx264", "mov"),
    "a.mkv": ("libx264", "matroska"),
    "a.avi": ("mpeg4", "avi"),
    "a.wmv": ("wmv2", "asf"),
    "a.ts": ("libx264", "mpegts"),
    "a.ogg": ("libvpx", "ogg"),
    "a.flv": ("flv1", "flv"),
    "a.jpg": ("", "JPEG"),
    "a.png": ("", "PNG"),
    "a.gif": ("", "GIF"),
    "a.webp": ("", "WEBP"),
    "a.avif": ("", "AVIF"),
}
HEADS = [
    b"\x1a\x45\xdf\xa3\x81\x00\x18\x53\x80\x67",
    b"\0\0\0\x08free\0\0\0\x01moov",
    b"RIFF\x10\0\0\0AVI ",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6ca1dcab8c47a9cf118ee400c00c205365"),
    b"G" * 189,
    b"OggS",
    b"FLV\x01\x02\x00\x08duration\x00",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a\x01\0\x01\0\x80\0\0",
    b"",
]


@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files_are_told_from_whole_ones(tmp_path: Path, name: str) -> None:
    codec, kind = WHOLE[name]
    path = tmp_path / name
    if codec:
        clips.write_video(path, clips.moving_squares(30), codec=codec)
    else:
        clips.write_image(path, clips.moving_squares(1)[0])
    data = path.read_bytes()
    whole = read_declared_size(io.BytesIO(data), kind)
    assert whole.actual_bytes == len(data)
    assert not whole.is_truncated
    assert whole.has_index or kind != "mov"
    if kind == "flv":  # it only declares its duration
        assert whole.seconds == pytest.approx(1.2)
        return
    assert read_declared_size(io.BytesIO(data[: len(data) * 2 // 3 + 7]), kind).is_truncated


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avif", "fragments.mp4"])
@pytest.mark.parametrize(
    "trailer", [bytes(range(30, 200)), bytes(32) + b"8db42d694ccc41879", b"\xff\xff\xff\xffnote"]
)
def test_data_after_the_last_box_is_not_truncation(
    tmp_path: Path, name: str, trailer: bytes
) -> None:
    path = tmp_path / name
    if path.suffix == ".avif":
        clips.write_image(path, clips.moving_squares(1)[0])
    else:
        flags = {"movflags": "frag_keyframe+empty_moov"} if "fragments" in name else {}
        clips.write_video(path, clips.moving_squares(30), options=flags)
    path.write_bytes(path.read_bytes() + trailer)
    with open_frames(path, max_pixels=1_000_000) as reader:
        assert len(list(reader)) == (1 if path.suffix == ".avif" else 30)


def test_the_file_is_rewound() -> None:
    file = io.BytesIO(b"\0\0\0\x08moov")
    file.seek(3)
    read_declared_size(file, "mov")
    assert file.tell() == 0


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(HEADS), st.binary(max_size=300), st.sampled_from([k for _, k in WHOLE.values()])
)
def test_random_bytes_are_handled(head: bytes, tail: bytes, kind: str) -> None:
    declared = read_declared_size(io.BytesIO(head + tail), kind)
    assert declared.actual_bytes == len(head + tail)
    assert declared.bytes is None or declared.bytes >= -16
