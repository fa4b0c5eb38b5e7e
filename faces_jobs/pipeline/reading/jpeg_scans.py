"""Counts the scans of a JPEG, each of which costs as much as decoding the picture.

A scan that changes nothing takes ten to a hundred bytes: a file of a few megabytes can hold so many
that decoding them takes hours. JPEGs that are not progressive may have any number of scans as well.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from faces_jobs.errors import MediaError

# As libtiff's limit, and the most that libjpeg's own programs write. Cameras write up to twenty.
MAX_SCANS = 100
CHUNK_BYTES = 64 * 1024
_MARK, _END, _SCAN = 0xFF, 0xD9, 0xDA
# A marker with parameters, or the end. Excluded are stuffed bytes of a scan, its restarts, and
# markers without parameters.
_MARKER = re.compile(rb"\xff+[^\xff\x00\x01\xd0-\xd8]")


def check_scans(file: BinaryIO) -> None:
    """Check the number of scans of a JPEG. Keeps the file's position.

    Raises:
        MediaError: there are more than `MAX_SCANS`.
    """
    before = file.tell()
    try:
        if not _may_have_more(file):
            return
        scans, at = 0, 0
        while scans <= MAX_SCANS:
            marker, at = _next_marker(file, at)
            if marker in (None, _END):
                return
            scans += marker == _SCAN
            file.seek(at)
            at += int.from_bytes(file.read(2), "big")
    finally:
        file.seek(before)
    raise MediaError(
        f"The image has more than {MAX_SCANS} scans and would take too long to decode: "
        "export it again."
    )


def _may_have_more(file: BinaryIO) -> bool:
    """Whether the bytes of a scan's marker occur more often than `MAX_SCANS`, wherever they are.

    This takes a few milliseconds, and tells nearly all files from those that have to be parsed.
    """
    file.seek(0)
    found, last = 0, b""
    while found <= MAX_SCANS and (chunk := file.read(CHUNK_BYTES)):
        found += (last + chunk).count(bytes((_MARK, _SCAN)))
        last = chunk[-1:]
    return found > MAX_SCANS


def _next_marker(file: BinaryIO, at: int) -> tuple[int | None, int]:
    """The next marker from a position, and the position after it; None at the end of the file."""
    file.seek(at)
    while len(chunk := file.read(CHUNK_BYTES)) > 1:
        found = _MARKER.search(chunk)
        if found:
            return chunk[found.end() - 1], at + found.end()
        # The last byte may be the first half of a marker.
        at += len(chunk) - 1
        file.seek(at)
    return None, at
