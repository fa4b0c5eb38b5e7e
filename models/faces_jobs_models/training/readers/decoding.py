"""Decodes labelled pictures from untrusted files: broken and oversized ones are skipped."""

from __future__ import annotations

import io
import warnings
from collections import Counter

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from faces_jobs.pipeline.values import Picture


def decode(image: bytes, *, max_pixels: int, skipped: Counter[str]) -> Picture | None:
    """Decode a picture, gray or not, to BGR. If that fails, count the reason and return None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `max_pixels` is the limit
        try:
            with Image.open(io.BytesIO(image)) as header:
                width, height = header.size
        except Image.DecompressionBombError:
            skipped[f"more than {max_pixels:,} pixels"] += 1
            return None
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError):
            skipped["unreadable picture"] += 1
            return None
    if width * height > max_pixels:
        skipped[f"more than {max_pixels:,} pixels"] += 1
        return None
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        skipped["unreadable picture"] += 1
        return None
    return np.asarray(decoded, np.uint8)
