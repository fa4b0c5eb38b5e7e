"""Removes the combs of interlaced pictures, whose two fields were taken at different moments."""

from __future__ import annotations

import cv2
import numpy as np

from faces_jobs.pipeline.values import Picture

# A pixel of an odd line is torn if it is more than this brighter or darker than those above and
# below it. A single line may really be so; a comb has several of them below each other.
MIN_DIFFERENCE = 6
MIN_LINES = 3
# Between torn pixels there are some that happen to fit.
MARGIN_WIDTH, MARGIN_LINES = 9, 3


def without_combs(picture_bgr: Picture) -> Picture:
    """Replace what is torn in the odd lines by the mean of the lines above and below it.

    Where nothing moved, all lines are kept. Only this picture is needed, not those around it, so
    that a part of a video gives the same pictures as the whole.

    Args:
        picture_bgr: (height, width, 3) uint8, as stored: one field is its even lines, the other
            its odd lines. It is not modified, since the decoder may still need it.

    Returns:
        (height, width, 3) uint8 BGR; the same array if nothing is torn.
    """
    lines = picture_bgr.shape[0] // 2
    if not lines:
        return picture_bgr
    gray = np.asarray(cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY), np.uint8)
    above, between = gray[: 2 * lines : 2], gray[1::2]
    below = _next_lines(above)
    difference = cv2.max(
        cv2.subtract(between, cv2.max(above, below)), cv2.subtract(cv2.min(above, below), between)
    )
    _, torn = cv2.threshold(difference, MIN_DIFFERENCE, 255, cv2.THRESH_BINARY)
    torn = cv2.erode(torn, np.ones((MIN_LINES, 1), np.uint8))
    if not cv2.hasNonZero(torn):
        return picture_bgr
    torn = cv2.dilate(torn, np.ones((MIN_LINES + MARGIN_LINES - 1, MARGIN_WIDTH), np.uint8))
    first = picture_bgr[: 2 * lines : 2]
    mean = cv2.addWeighted(first, 0.5, _next_lines(first), 0.5, 0)
    mended = picture_bgr.copy()
    mended[1::2] = cv2.copyTo(mean, torn, mended[1::2].copy())
    return mended


def _next_lines(field: Picture) -> Picture:
    """Return the line below each line of a field; the last one is repeated."""
    return np.concatenate([field[1:], field[-1:]])
