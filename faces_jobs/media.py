"""Detects the type of a media file from its first bytes, never from its name.

FFmpeg opens a file only with the demuxer that is named here. Its own probing would also accept
playlists, and then open whatever files and addresses these contain.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from faces_jobs.errors import (
    ArchiveError,
    EmptyFileError,
    NoVideoError,
    TextError,
    UnknownMediaError,
)

HEAD_BYTES = 16 * 1024
"""How many bytes of a file `recognise` needs, unless the file is shorter."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """The type of a file by its content.

    `format` is the name of FFmpeg's demuxer if `reader` is "ffmpeg", otherwise Pillow's name of the
    image format. `kind` is preliminary, as a GIF may turn out to be animated only later on.
    """

    kind: Literal["image", "video"]
    mime: str
    format: str
    reader: Literal["ffmpeg", "pillow"]


@dataclass(frozen=True, slots=True)
class _Signature:
    offset: int
    magic: bytes
    format: str
    mime: str


def _video(magic: bytes, demuxer: str, mime: str = "", offset: int = 0) -> _Signature:
    return _Signature(offset, magic, demuxer, mime or f"video/x-{demuxer}")


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_WTV = bytes.fromhex("b7d800203749da11a64e0007e95ead8d")
_MXF = bytes.fromhex("060e2b34020501010d0102")

_VIDEOS = (
    _video(b"\x1a\x45\xdf\xa3", "matroska", "video/x-matroska"),
    _video(b"FLV\x01", "flv"),
    _video(_ASF, "asf", "video/x-ms-asf"),
    _video(b"OggS", "ogg", "video/ogg"),
    _video(b".RMF", "rm", "application/vnd.rn-realmedia"),
    _video(_MXF, "mxf", "application/mxf"),
    _video(b"nut/multimedia container\x00", "nut"),
    _video(b"DKIF", "ivf"),
    _video(b"YUV4MPEG2 ", "yuv4mpegpipe"),
    _video(b"\x00\x00\x01\xba", "mpeg", "video/mpeg"),
    _video(b"\x00\x00\x01\xb3", "mpegvideo", "video/mpeg"),
    _video(b"\x00\x00\x01\xb0", "m4v"),
    _video(_WTV, "wtv"),
    _video(b"\x00\x00\x00\x00\x01\xbc", "gxf", "application/gxf"),
    _video(b"BBCD", "dirac"),
    _video(b"FILM\x00", "film_cpk"),
    _video(b"NSVf", "nsv"),
    _video(b"NSVs", "nsv"),
    _video(b"NuppelVideo\x00", "nuv"),
    _video(b"MythTVVideo\x00", "nuv"),
    _video(b"SMK2", "smk"),
    _video(b"SMK4", "smk"),
    _video(b"\x84\x10\xff\xff\xff\xff", "roq"),
    _video(b"\x11\xaf", "flic", offset=4),
    _video(b"\x12\xaf", "flic", offset=4),
    _video(b"\x12\x00\x0a", "obu", "video/av1"),
    *(_video(b"BIK" + version, "bink") for version in (b"b", b"f", b"g", b"h", b"i", b"k")),
)

_IMAGES = (
    _Signature(0, b"\xff\xd8\xff", "JPEG", "image/jpeg"),
    _Signature(0, b"\x89PNG\r\n\x1a\n", "PNG", "image/png"),
    _Signature(0, b"GIF87a", "GIF", "image/gif"),
    _Signature(0, b"GIF89a", "GIF", "image/gif"),
    _Signature(0, b"II*\x00", "TIFF", "image/tiff"),
    _Signature(0, b"MM\x00*", "TIFF", "image/tiff"),
    _Signature(0, b"II+\x00", "TIFF", "image/tiff"),
    _Signature(0, b"MM\x00+", "TIFF", "image/tiff"),
)

_ARCHIVES = (
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"PK\x07\x08", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"Rar!\x1a\x07", "RAR"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"BZh", "bzip2"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (0, b"\x04\x22\x4d\x18", "LZ4"),
    (0, b"LZIP", "lzip"),
    (0, b"MSCF\x00", "CAB"),
    (0, b"!<arch>\n", "ar"),
    (2, b"-lh", "LHA"),
    (257, b"ustar", "tar"),
)

_AUDIO = (
    (0, b"ID3", "MP3"),
    (0, b"fLaC", "FLAC"),
    (0, b"#!AMR", "AMR"),
    (0, b"MThd", "MIDI"),
    (0, b"caff\x00", "CAF"),
    (8, b"WAVE", "WAV"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (4, b"ftypM4A ", "M4A"),
    (4, b"ftypM4B ", "M4B"),
)

_UNSUPPORTED = (
    (0, b"%PDF-", "a PDF document: export its pages as PNG"),
    (0, b"8BPS", "a Photoshop document: export it as PNG"),
    (0, b"\x00\x00\x00\x0cjP  \r\n", "JPEG 2000: convert it to JPEG or PNG"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000: convert it to JPEG or PNG"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL: convert it to JPEG or PNG"),
    (0, b"\xff\x0a", "JPEG XL: convert it to JPEG or PNG"),
)

# Text files that are mistaken for videos, because they list other files or addresses.
_TEXTS = (
    (b"#extm3u", "an M3U playlist"),
    (b"ffconcat", "a list of files for FFmpeg"),
    (b"file ", "a list of files for FFmpeg"),
    (b"v=0", "an SDP session description"),
    (b"[playlist]", "a PLS playlist"),
    (b"[reference]", "a Windows Media reference"),
    (b"<asx", "a Windows Media playlist"),
    (b"<smil", "a SMIL playlist"),
    (b"rtsp://", "an address"),
    (b"http://", "an address"),
    (b"https://", "an address"),
)
_TEXTS_INSIDE = (
    (b"<mpd", "a DASH playlist"),
    (b"<svg", "an SVG drawing"),
    (b"<html", "a web page"),
    (b"<!doctype html", "a web page"),
    (b"<smoothstreamingmedia", "a Smooth Streaming playlist"),
    (b"<playlist", "an XSPF playlist"),
    (b"<asx", "a Windows Media playlist"),
)
_TEXT_CONTROL_CHARACTERS = frozenset(b"\t\n\v\f\r\x1b")

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp"})
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))  # MPEG-TS, Blu-ray's m2ts, with parity


def recognise(head: bytes, *, size: int) -> MediaType:
    """Detect the type of a file from its first `HEAD_BYTES` bytes and its size in bytes.

    Raises:
        EmptyFileError: the file has no bytes.
        ArchiveError: it is an archive.
        TextError: it is text, such as a playlist.
        NoVideoError: it is an audio file.
        UnknownMediaError: it is anything else that can't be read.
    """
    head = head[:HEAD_BYTES]
    if not size or not head:
        raise EmptyFileError("The file is empty: send the complete file again.")
    _reject_text(head)
    if head[:4] == b"II*\x00" and head[8:10] == b"CR":
        raise camera_raw_error()
    found = _image(head, size) or _by_signature(head) or _by_structure(head, size)
    if found is not None:
        return found
    _reject_known(head)
    raise UnknownMediaError(
        "The content of the file is neither an image nor a video in a supported format: "
        "convert it to MP4, or to JPEG or PNG."
    )


def camera_raw_error() -> UnknownMediaError:
    """Return the error for a camera's raw file: a TIFF whose first picture is only a preview."""
    return UnknownMediaError("The file is a camera's raw file: export it as JPEG or TIFF.")


def _reject_text(head: bytes) -> None:
    if head.startswith(b"YUV4MPEG2 "):
        return  # the only video format that starts with text; its demuxer opens no other files
    text = head
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = head.decode("utf-16", "replace").encode("utf-8")
    start = text.removeprefix(codecs.BOM_UTF8).lstrip().lower()[:4096]
    kind = next((name for magic, name in _TEXTS if start.startswith(magic)), None)
    is_text = all(byte >= 0x20 or byte in _TEXT_CONTROL_CHARACTERS for byte in text)
    if is_text and kind is None:
        kind = next((name for magic, name in _TEXTS_INSIDE if magic in start), "text")
    if kind is not None:
        raise TextError(
            f"The file is {kind}, not a video or an image: send the media files themselves."
        )


def _image(head: bytes, size: int) -> MediaType | None:
    for signature in _IMAGES:
        if head.startswith(signature.magic):
            kind = _kind_of_image(signature.format, head)
            return MediaType(kind, signature.mime, signature.format, "pillow")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return MediaType(_kind_of_image("WEBP", head), "image/webp", "WEBP", "pillow")
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return MediaType("image", "image/bmp", "BMP", "pillow")
    if head[4:8] == b"ftyp":
        brands = _brands(head, size)
        if brands & {b"avif", b"avis"}:
            kind = "video" if head[8:12] == b"avis" else "image"
            return MediaType(kind, "image/avif", "AVIF", "pillow")
        if head[8:12] in _HEIF_BRANDS:
            raise UnknownMediaError(
                "The file is a HEIC image, which is not supported: convert it to JPEG."
            )
    return None


def _kind_of_image(name: str, head: bytes) -> Literal["image", "video"]:
    is_animated = (
        (name == "PNG" and b"acTL" in head.split(b"IDAT", 1)[0])
        or (name == "WEBP" and head[12:16] == b"VP8X" and len(head) > 20 and bool(head[20] & 2))
        or (name == "GIF" and b"NETSCAPE2.0" in head)
    )
    return "video" if is_animated else "image"


def _brands(head: bytes, size: int) -> set[bytes]:
    length = min(int.from_bytes(head[:4], "big"), size, len(head))
    return {head[8:12]} | {head[at : at + 4] for at in range(16, length - 3, 4)}


def _by_signature(head: bytes) -> MediaType | None:
    for signature in _VIDEOS:
        if head.startswith(signature.magic, signature.offset):
            mime = signature.mime
            if signature.format == "matroska" and b"webm" in head[:64]:
                mime = "video/webm"
            return MediaType("video", mime, signature.format, "ffmpeg")
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return MediaType("video", "video/x-msvideo", "avi", "ffmpeg")
    return None


def _by_structure(head: bytes, size: int) -> MediaType | None:
    if _is_mov(head, size):
        mime = "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
        return MediaType("video", mime, "mov", "ffmpeg")
    if head[:3] == b"\x1f\x07\x00" and head[3:4] in {b"\x3f", b"\xbf"}:
        return MediaType("video", "video/x-dv", "dv", "ffmpeg")
    if _is_transport_stream(head):
        return MediaType("video", "video/mp2t", "mpegts", "ffmpeg")
    return _elementary_stream(head)


def _is_mov(head: bytes, size: int) -> bool:
    if head[4:8] not in _BOXES or head[4:11] in {b"ftypM4A", b"ftypM4B"}:
        return False
    # The size of a box: 1 means that a 64-bit size follows, 0 that it extends to the end of the
    # file. The box of the samples (mdat) may exceed the file, which is then cut off.
    length = int.from_bytes(head[:4], "big")
    return head[4:8] == b"mdat" or length in {0, 1} or 8 <= length <= max(size, HEAD_BYTES)


def _is_transport_stream(head: bytes) -> bool:
    """Whether each packet starts with 0x47; a recording may start in the middle of one."""
    for length, offset in _TS_PACKETS:
        if len(head) < length + offset + 1:
            continue
        firsts = range(length) if len(head) >= 8 * length else (offset,)
        for first in firsts:
            if head[first] == 0x47 and all(
                head[at] == 0x47 for at in range(first, len(head), length)
            ):
                return True
    return False


def _elementary_stream(head: bytes) -> MediaType | None:
    """Detect a raw H.264 or HEVC stream by its first NAL unit: parameters or a delimiter."""
    start = 4 if head[:4] == b"\x00\x00\x00\x01" else 3 if head[:3] == b"\x00\x00\x01" else 0
    unit = head[start : start + 2]
    if not start or len(unit) < 2 or unit[0] & 0x80:
        return None
    if unit[1] == 1 and (unit[0] >> 1) & 0x3F in {32, 33, 35}:  # VPS, SPS, delimiter
        return MediaType("video", "video/h265", "hevc", "ffmpeg")
    kind, reference = unit[0] & 0x1F, unit[0] >> 5
    if (kind == 7 and reference) or (kind in {6, 9} and not reference):  # SPS, SEI, delimiter
        return MediaType("video", "video/h264", "h264", "ffmpeg")
    return None


def _reject_known(head: bytes) -> None:
    """Raise a helpful error for file types that are known but not supported."""
    for offset, magic, name in _ARCHIVES:
        if head.startswith(magic, offset):
            raise ArchiveError(f"The file is a {name} archive: unpack it and send the files in it.")
    is_mp3 = len(head) > 2 and head[0] == 0xFF and head[1] in {0xFA, 0xFB, 0xF2, 0xF3}
    is_aac = len(head) > 2 and head[0] == 0xFF and head[1] in {0xF1, 0xF9}
    named = next((name for offset, magic, name in _AUDIO if head.startswith(magic, offset)), None)
    if is_mp3 or is_aac or named:
        raise NoVideoError(
            f"The file contains only audio ({named or ('MP3' if is_mp3 else 'AAC')}): "
            "send a video or an image."
        )
    for offset, magic, name in _UNSUPPORTED:
        if head.startswith(magic, offset):
            raise UnknownMediaError(f"The file is {name}.")
