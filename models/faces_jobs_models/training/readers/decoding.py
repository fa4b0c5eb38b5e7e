"""Decodes labelled pictures from untrusted files: broken and oversized ones are skipped."""

from __future__ import annotations

import io
import warnings
from collections import Counter

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from faces_jobs.pipeline.values import Picture

MAX_PIXELS = 100_000_000
"""Larger pictures are skipped, unless the caller has a setting for it."""


def decode(
    image: bytes, *, skipped: Counter[str], source: str = "", max_pixels: int = MAX_PIXELS
) -> Picture | None:
    """Decode a picture, gray or not, to BGR. If that fails, count the reason and return None.

    `source` is the prefix of the reason: the name of the data set.
    """
    too_large = f"{source} picture of more than {max_pixels:,} pixels".lstrip()
    unreadable = f"{source} unreadable picture".lstrip()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `max_pixels` is the limit
        try:
            with Image.open(io.BytesIO(image)) as header:
                width, height = header.size
        except Image.DecompressionBombError:
            skipped[too_large] += 1
            return None
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            skipped[unreadable] += 1
            return None
    if width * height > max_pixels:
        skipped[too_large] += 1
        return None
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        skipped[unreadable] += 1
        return None
    return np.asarray(decoded, np.uint8)
