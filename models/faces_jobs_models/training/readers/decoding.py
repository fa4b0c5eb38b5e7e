"""Decodes labelled pictures as a job does: broken and oversized ones are skipped."""

from __future__ import annotations

import io
from collections import Counter

from faces_jobs.errors import FrameSizeError, MediaError, NoVideoError
from faces_jobs.media import recognise
from faces_jobs.pipeline.reading.image_reader import ImageReader
from faces_jobs.pipeline.values import Picture

MAX_PIXELS = 100_000_000
"""Larger pictures are skipped, unless the caller has a setting for it."""


def decode(
    image: bytes, *, skipped: Counter[str], source: str = "", max_pixels: int = MAX_PIXELS
) -> Picture | None:
    """Decode a picture, gray or not, to BGR. If that fails, count the reason and return None.

    `source` is the prefix of the reason: the name of the data set.
    """
    try:
        return decode_or_raise(image, max_pixels=max_pixels)
    except FrameSizeError:
        skipped[f"{source} picture of more than {max_pixels:,} pixels".lstrip()] += 1
    except MediaError:
        skipped[f"{source} unreadable picture".lstrip()] += 1
    return None


def decode_or_raise(image: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an encoded picture, of an animation the first frame, to upright BGR in sRGB.

    Raises:
        FrameSizeError: it has no pixels, or more than `max_pixels`.
        MediaError: it is damaged, or in no format that a job accepts.
    """
    media_type = recognise(image, size=len(image))
    if media_type.reader != "pillow":
        raise NoVideoError("A video can't be a labelled picture: use one of its frames.")
    with ImageReader(io.BytesIO(image), media_type.format, max_pixels=max_pixels) as reader:
        return next(iter(reader)).picture_bgr
