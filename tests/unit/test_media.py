"""Media types are recognised by a file's first bytes, never by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from faces_jobs.errors import (
    ArchiveError,
    EmptyFileError,
    MediaError,
    NoVideoError,
    TextError,
    UnknownMediaError,
)
from faces_jobs.media import HEAD_BYTES, recognise
from tests import clips

VIDEOS = {
    "a.mp4": ("libx264", None, "mov", "video/mp4"),
    "a.mov": ("libx264", None, "mov", "video/quicktime"),
    "a.3gp": ("mpeg4", None, "mov", "video/mp4"),
    "a.mkv": ("libx264", None, "matroska", "video/x-matroska"),
    "a.webm": ("libvpx-vp9", None, "matroska", "video/webm"),
    "a.avi": ("mpeg4", None, "avi", "video/x-msvideo"),
    "a.flv": ("flv1", None, "flv", "video/x-flv"),
    "a.ts": ("libx264", None, "mpegts", "video/mp2t"),
    "a.mpg": ("mpeg2video", None, "mpeg", "video/mpeg"),
    "a.m2v": ("mpeg2video", "mpeg2video", "mpegvideo", "video/mpeg"),
    "a.wmv": ("wmv2", "asf", "asf", "video/x-ms-asf"),
    "a.ogg": ("libvpx", "ogg", "ogg", "video/ogg"),
    "a.rm": ("rv10", "rm", "rm", "application/vnd.rn-realmedia"),
    "a.nut": ("ffv1", "nut", "nut", "video/x-nut"),
    "a.ivf": ("libvpx", "ivf", "ivf", "video/x-ivf"),
    "a.y4m": ("rawvideo", "yuv4mpegpipe", "yuv4mpegpipe", "video/x-yuv4mpegpipe"),
    "a.264": ("libx264", "h264", "h264", "video/h264"),
    "a.wtv": ("mpeg2video", "wtv", "wtv", "video/x-wtv"),
}


def head_of(path: Path) -> bytes:
    return path.read_bytes()[:HEAD_BYTES]


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_recognised_by_its_content_under_any_name(tmp_path: Path, name: str) -> None:
    codec, container, demuxer, mime = VIDEOS[name]
    path = clips.write_video(
        tmp_path / name, clips.moving_squares(3), codec=codec, format=container
    )
    path = path.rename(tmp_path / "holiday.txt")
    found = recognise(head_of(path), size=path.stat().st_size)
    assert (found.kind, found.format, found.mime) == ("video", demuxer, mime)
    assert found.reader == "ffmpeg"


@pytest.mark.parametrize(
    ("head", "found_format"),
    [
        (b"\x1f\x07\x00\x3f", "dv"),
        (b"\x1f\x07\x00\xbf", "dv"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0miafmif1avif", "AVIF"),
        (b"\0\0\0\x08wide", "mov"),
        (b"\0\0\0\x00mdat", "mov"),
        (b"\0\0\0\x01mdat", "mov"),
        (b"\x7f\xff\xff\xffmdat", "mov"),
        (b"\0\0\0\x01\x67\x64", "h264"),
        (b"\0\0\x01\x06\x05", "h264"),
        (b"\0\0\0\x01\x09\x10", "h264"),
        (b"\0\0\0\x01\x40\x01", "hevc"),
        (b"\0\0\x01\x42\x01", "hevc"),
        (b"\0\0\0\x01\x46\x01", "hevc"),
    ],
)
def test_a_format_without_a_signature_is_recognised_by_its_structure(
    head: bytes, found_format: str
) -> None:
    assert recognise(head + bytes(400), size=len(head) + 400).format == found_format


@pytest.mark.parametrize(
    "head",
    [
        b"\x1f\x07\x00\x00",
        b"\x1f\x08\x00\xbf",
        b"BM" + bytes(12) + b"\x05",
        b"XX" + bytes(12) + b"\x28",
        b"\0\0\0\x07free",
        b"\x7f\xff\xff\xffmoov",
        b"\0\0\0\x01\x07\x64",
        b"\0\0\0\x01\x66\x05",
        b"\0\0\0\x01\xe7\x64",
        b"\0\0\0\x01\x40\x02",
        b"\0\0\x02\x67\x64",
    ],
)
def test_a_file_that_only_begins_like_a_format_is_refused(head: bytes) -> None:
    with pytest.raises(UnknownMediaError, match="neither an image nor a video"):
        recognise(head + bytes(400), size=len(head) + 400)


def test_blu_ray_streams_and_recordings_that_begin_inside_a_packet_are_recognised(
    tmp_path: Path,
) -> None:
    options = {"mpegts_m2ts_mode": "1"}
    path = tmp_path / "a.m2ts"
    clips.write_video(path, clips.moving_squares(30), format="mpegts", options=options)
    data = path.read_bytes()
    assert recognise(data[:HEAD_BYTES], size=len(data)).format == "mpegts"
    plain = clips.write_video(tmp_path / "a.ts", clips.moving_squares(30)).read_bytes()[77:]
    assert recognise(plain[:HEAD_BYTES], size=len(plain)).format == "mpegts"


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.jpg", "image/jpeg"),
        ("a.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.bmp", "image/bmp"),
        ("a.tiff", "image/tiff"),
        ("a.gif", "image/gif"),
        ("a.avif", "image/avif"),
    ],
)
def test_a_still_image_is_recognised_by_its_content(tmp_path: Path, name: str, mime: str) -> None:
    path = clips.write_image(tmp_path / name, clips.picture())
    found = recognise(head_of(path), size=path.stat().st_size)
    assert (found.kind, found.mime, found.reader) == ("image", mime, "pillow")


def test_a_camera_s_raw_file_is_refused_with_advice() -> None:
    head = b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(2000)
    with pytest.raises(UnknownMediaError, match="camera's raw file: export it as JPEG or TIFF"):
        recognise(head, size=len(head))


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_is_a_video(tmp_path: Path, name: str) -> None:
    path = clips.write_animation(tmp_path / name, clips.moving_squares(3), [100] * 3, loop=0)
    assert recognise(head_of(path), size=path.stat().st_size).kind == "video"


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.mp4", b"instead of a video")
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.mp4"))
    return packed.getvalue()


ARCHIVES = {
    "ZIP": zipped(),
    "tar": tarred(),
    "gzip": gzip.compress(b"a video"),
    "xz": lzma.compress(b"a video"),
    "bzip2": bz2.compress(b"a video"),
    "7-Zip": b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24),
    "RAR": b"Rar!\x1a\x07\x01\x00" + bytes(24),
    "Zstandard": b"\x28\xb5\x2f\xfd\x04\x00" + bytes(24),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_refused_with_the_name_of_its_format(kind: str) -> None:
    data = ARCHIVES[kind]
    with pytest.raises(ArchiveError, match=f"{kind} archive: unpack it"):
        recognise(data, size=len(data))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "M3U playlist"),
        ("\ufeff  \n#extm3u\nhttp://127.0.0.1/a.ts", "M3U playlist"),
        ("ffconcat version 1.0\nfile /etc/passwd", "list of files"),
        ("file '/etc/passwd'\n", "list of files"),
        ('<?xml version="1.0"?><MPD></MPD>', "DASH playlist"),
        ("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "SDP"),
        ("<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("<!DOCTYPE html><html></html>", "web page"),
        ("[playlist]\nFile1=http://127.0.0.1/", "PLS"),
        ("GIF89a is what a GIF begins with", "text"),
        ("I'm free to go", "text"),
        ("just words", "text"),
        ("\x1b[31mwords\x1b[0m", "text"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_text_is_refused_with_what_it_looks_like(text: str, kind: str, encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    with pytest.raises(TextError, match=kind):
        recognise(data, size=len(data))


def test_a_playlist_followed_by_binary_data_is_still_refused() -> None:
    data = b"#EXTM3U\nfile:///etc/passwd\n" + bytes(range(256)) * 8
    with pytest.raises(TextError):
        recognise(data, size=len(data))


def test_the_first_bytes_decide_about_a_polyglot_file(tmp_path: Path) -> None:
    video = clips.write_video(tmp_path / "a.mp4", clips.moving_squares(3)).read_bytes()
    both = video + ARCHIVES["ZIP"] + b"#EXTM3U\nfile:///etc/passwd\n"
    assert recognise(both[:HEAD_BYTES], size=len(both)).format == "mov"
    reverse = ARCHIVES["ZIP"] + video
    with pytest.raises(ArchiveError):
        recognise(reverse[:HEAD_BYTES], size=len(reverse))


@pytest.mark.parametrize("name", ["a.mp3", "a.wav", "a.flac", "a.m4a", "a.aac"])
def test_a_file_with_sound_only_is_refused_as_such(tmp_path: Path, name: str) -> None:
    codec = {"a.mp3": "mp3", "a.wav": "pcm_s16le", "a.flac": "flac"}.get(name, "aac")
    path = clips.write_sound(tmp_path / name, [clips.Sound(codec)])
    with pytest.raises(NoVideoError, match="only audio"):
        recognise(head_of(path), size=path.stat().st_size)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"%PDF-1.7\n%\xe2\xe3\x00\x01", "PDF"),
        (b"\x7fELF\x02\x01\x01\x00" + bytes(64), "neither"),
        (bytes(4096), "neither"),
    ],
)
def test_an_unsupported_file_is_named_if_its_format_is_known(data: bytes, word: str) -> None:
    with pytest.raises(UnknownMediaError, match=word):
        recognise(data, size=len(data))


def test_an_empty_file_is_refused_as_such() -> None:
    with pytest.raises(EmptyFileError):
        recognise(b"", size=0)


HEADS = [
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"RIFF\0\0\0\0AVI ",
    b"BM",
    b"\0\0\0\x20ftypisom",
    b"\0\0\0\x20ftypavif",
    b"\x1a\x45\xdf\xa3",
    b"\x00\x00\x00\x01",
    b"G",
    b"PK\x03\x04",
    b"\xff\xfe",
    b"",
]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(HEADS), st.binary(max_size=600), st.integers(0, 2**40))
@example(b"", b"G" * 600, 600)
def test_any_bytes_are_either_recognised_or_refused(head: bytes, tail: bytes, size: int) -> None:
    data = head + tail
    try:
        found = recognise(data, size=size)
    except MediaError:
        return
    assert found.kind in {"image", "video"}
    assert found.mime.partition("/")[2]
