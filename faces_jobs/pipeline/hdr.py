"""Pictures of HDR video (PQ, as of HDR10 and Dolby Vision) as an ordinary screen shows them."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture

PQ = 16  # FFmpeg's AVCOL_TRC_SMPTE2084
WHITE_NITS = 203.0  # of paper and subtitles in HDR, by ITU-R BT.2408
# Of SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_BRIGHTEST_NITS = 10_000.0


def as_sdr(picture_bgr: Picture) -> Picture:
    """A picture whose levels are PQ's, with those of sRGB: the same shape, BGR, uint8.

    What is brighter than paper is white. Colours keep their primaries.
    """
    return np.asarray(cv2.LUT(picture_bgr, _levels()), np.uint8)


@cache
def _levels() -> NDArray[np.uint8]:
    """(256,) uint8: what each level of PQ becomes."""
    code = np.linspace(0, 1, 256) ** (1 / _M2)
    light = (np.maximum(code - _C1, 0) / (_C2 - _C3 * code)) ** (1 / _M1)
    linear = np.clip(light * _BRIGHTEST_NITS / WHITE_NITS, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * shown).astype(np.uint8)
