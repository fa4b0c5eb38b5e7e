"""Turns decoded pixels into upright BGR pictures: orientation, transparency, scaling."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.errors import FrameSizeError
from faces_jobs.pipeline.values import Picture

MAX_PIXEL_ASPECT = 4  # to either side; anything beyond is an error in the file


@dataclass(frozen=True, slots=True)
class Orientation:
    """The operations that make a stored picture upright: first transpose, then mirror."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """Create it from FFmpeg's display matrix (nine int32), to the nearest quarter turn."""
        if len(matrix) < 36:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(mirrored_x=a < 0, mirrored_y=d < 0)
        return cls(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)

    @classmethod
    def from_degrees(cls, degrees: float) -> Orientation:
        """Create it from degrees counter-clockwise, to the nearest quarter turn."""
        turns = round(degrees / 90) % 4
        return cls(
            transposed=turns in {1, 3}, mirrored_x=turns in {2, 3}, mirrored_y=turns in {1, 2}
        )

    def apply(self, picture_bgr: Picture) -> Picture:
        """Return the upright picture, as a contiguous array."""
        if self.transposed:
            picture_bgr = picture_bgr.transpose(1, 0, 2)
        if self.mirrored_x:
            picture_bgr = picture_bgr[:, ::-1]
        if self.mirrored_y:
            picture_bgr = picture_bgr[::-1]
        return np.ascontiguousarray(picture_bgr)


def on_white(picture_bgra: NDArray[np.uint8]) -> Picture:
    """Blend a picture with alpha, (height, width, 4), with a white background.

    The colours of transparent pixels are arbitrary, and often black or noise.
    """
    alpha = picture_bgra[:, :, 3]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(picture_bgra[:, :, :3])
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR).astype(np.uint16)
    colour = picture_bgra[:, :, :3].astype(np.uint16)
    # Adding 127 before dividing by 255 rounds to the nearest level.
    return ((colour * weight + np.uint16(255) * (np.uint16(255) - weight) + 127) // 255).astype(
        np.uint8
    )


def check_frame_size(width: int, height: int, *, max_pixels: int) -> None:
    """Check the size of a picture before it is decoded.

    Raises:
        FrameSizeError: the picture has no pixels, or more than `max_pixels`.
    """
    if width <= 0 or height <= 0:
        # FFmpeg reports implausible sizes as 0x0.
        raise FrameSizeError(
            f"The header contains no usable picture size ({width}x{height} pixels): "
            "convert the file and send it again."
        )
    if width * height > max_pixels:
        raise FrameSizeError(
            f"The picture is {width}x{height} pixels, more than the limit of {max_pixels:,}: "
            "scale it down and send it again."
        )


def square_width(width: int, pixel_aspect: Fraction | None) -> int:
    """Return the width of a picture after its pixels are made square; even, as encoders need it.

    Args:
        width: the stored width in pixels.
        pixel_aspect: width of a pixel divided by its height. If it is unknown or implausible, the
            pixels are assumed to be square.
    """
    if not pixel_aspect or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width
    square = width * pixel_aspect
    return width if abs(square - width) < 1 else max(2, 2 * round(square / 2))


def fit(picture_bgr: Picture, width: int, height: int) -> Picture:
    """Scale a picture to this size; returns the same array if it has that size already."""
    if picture_bgr.shape[:2] == (height, width):
        return picture_bgr
    shrinks = picture_bgr.shape[0] >= height and picture_bgr.shape[1] >= width
    scaled = cv2.resize(
        picture_bgr,
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return np.asarray(scaled, np.uint8)
