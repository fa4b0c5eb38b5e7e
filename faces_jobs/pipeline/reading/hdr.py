"""Tone-maps frames of HDR video with the PQ transfer (HDR10, Dolby Vision) to SDR."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture

PQ = 16  # FFmpeg's AVCOL_TRC_SMPTE2084
WHITE_NITS = 203.0  # HDR reference white of ITU-R BT.2408
# Constants of the PQ transfer function, SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_PEAK_NITS = 10_000.0


def as_sdr(picture_bgr: Picture) -> Picture:
    """Convert the levels of a picture from PQ to sRGB: the same shape, BGR, uint8.

    Values above the reference white are clipped. The colour primaries are not converted.
    """
    return np.asarray(cv2.LUT(picture_bgr, _lookup_table()), np.uint8)


@cache
def _lookup_table() -> NDArray[np.uint8]:
    """The sRGB level of each PQ level: (256,) uint8."""
    code = np.linspace(0, 1, 256) ** (1 / _M2)
    light = (np.maximum(code - _C1, 0) / (_C2 - _C3 * code)) ** (1 / _M1)
    linear = np.clip(light * _PEAK_NITS / WHITE_NITS, 0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(255 * shown).astype(np.uint8)
