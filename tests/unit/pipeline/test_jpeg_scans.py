"""JPEGs whose scans would take hours to decode are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces_jobs.errors import MediaError
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.reading import jpeg_scans
from faces_jobs.pipeline.reading.jpeg_scans import MAX_SCANS, check_scans

SCAN, END = b"\xff\xda", b"\xff\xd9"


def progressive() -> bytes:
    """A progressive JPEG of noise, with ten scans and many stuffed bytes in them."""
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", progressive=True, quality=95)
    return file.getvalue()


def with_scans(count: int) -> bytes:
    """The same picture, whose last scan is repeated until there are so many."""
    data = progressive()
    start = data.rindex(SCAN)
    last = data[start : data.rindex(END)]
    return data[:start] + last * (count - data.count(SCAN) + 1) + END


def is_read(path: Path) -> bool:
    with open_frames(path, max_pixels=10_000) as reader:
        return len(list(reader)) == 1


def test_a_file_with_more_scans_than_any_program_writes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(with_scans(MAX_SCANS))
    assert is_read(path)
    path.write_bytes(with_scans(MAX_SCANS + 1))
    with pytest.raises(MediaError, match="scans"):
        is_read(path)


def test_scans_of_a_jpeg_that_is_not_progressive_count_as_well(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (64, 64)).save(file, "JPEG")
    data = file.getvalue()
    path = tmp_path / "a.jpg"
    path.write_bytes(data.removesuffix(END) + data[data.rindex(SCAN) : -2] * MAX_SCANS + END)
    with pytest.raises(MediaError, match="scans"):
        is_read(path)


@pytest.mark.parametrize("chunk_bytes", [2, 3, 64 * 1024])
def test_only_scans_of_the_picture_itself_count(
    monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(jpeg_scans, "CHUNK_BYTES", chunk_bytes)
    note = b"\xff\xe1" + (2 + 600).to_bytes(2, "big") + SCAN * 300  # such as a thumbnail
    data = with_scans(MAX_SCANS)
    file = io.BytesIO(data[:2] + note + data[2:] + SCAN * 300)  # and such as a phone's video
    file.seek(5)
    check_scans(file)
    assert file.tell() == 5
    check_scans(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(MediaError):
        check_scans(io.BytesIO(with_scans(MAX_SCANS + 1)))
