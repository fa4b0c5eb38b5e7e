"""Labelled pictures are decoded like those of a job, and what a job refuses is counted."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from faces_jobs.pipeline.frames import open_frames
from faces_jobs_models.training.readers.decoding import decode

LEVELS = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
HALF_CLEAR = np.dstack(
    [LEVELS, LEVELS, LEVELS, np.tile(np.repeat(np.array([0, 255], np.uint8), 4), (8, 1))]
)


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def foreign_profile() -> bytes:
    """The profile of sRGB under another name, in which red and green have changed places."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace("sRGB".encode("utf-16-be"), "odd ".encode("utf-16-be"))
    return data.replace(b"rXYZ", b"-XYZ").replace(b"gXYZ", b"rXYZ").replace(b"-XYZ", b"gXYZ")


@pytest.mark.parametrize(
    "image",
    [
        encoded(Image.new("RGB", (8, 8), (255, 51, 0)), "PNG", icc_profile=foreign_profile()),
        encoded(Image.fromarray(HALF_CLEAR), "PNG"),
        encoded(Image.fromarray(LEVELS.astype(np.uint16) * 16), "PNG"),  # 12 bits
        encoded(Image.fromarray(LEVELS.astype(np.float32) / 255), "TIFF"),
        encoded(Image.new("L", (1_100_000, 1)), "PNG"),
    ],
    ids=["profile", "transparent", "12 bits", "floats", "wide"],
)
def test_a_labelled_picture_looks_as_in_a_job(image: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(image)
    with open_frames(tmp_path / "picture", max_pixels=2_000_000) as reader:
        (frame,) = reader
    skipped: Counter[str] = Counter()
    decoded = decode(image, skipped=skipped)
    assert decoded is not None, skipped
    np.testing.assert_array_equal(decoded, frame.picture_bgr)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "faces unreadable picture"),
        (encoded(Image.effect_noise((64, 64), 50), "JPEG")[:900], "faces unreadable picture"),
        (b"\x1a\x45\xdf\xa3 a video", "faces unreadable picture"),
        (encoded(Image.new("L", (100, 101)), "PNG"), "faces picture of more than 10,000 pixels"),
    ],
    ids=["empty", "cut off", "video", "large"],
)
def test_what_a_job_refuses_is_counted(image: bytes, reason: str) -> None:
    skipped: Counter[str] = Counter()
    assert decode(image, skipped=skipped, source="faces", max_pixels=10_000) is None
    assert skipped == {reason: 1}
