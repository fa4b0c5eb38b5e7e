"""Decoded pixels to upright BGR pictures: alpha put on white, rotation and mirroring applied."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.errors import FrameSizeError
from faces_jobs.pipeline.values import Picture

WIDEST_PIXEL = 4


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a stored picture becomes upright: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """From FFmpeg's display matrix, nine 32-bit integers; to the nearest quarter turn."""
        if len(matrix) < 36:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(mirrored_x=a < 0, mirrored_y=d < 0)
        return cls(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)

    @classmethod
    def from_degrees(cls, degrees: float) -> Orientation:
        """From degrees counter-clockwise, to the nearest quarter turn."""
        turns = round(degrees / 90) % 4
        return cls(
            transposed=turns in {1, 3}, mirrored_x=turns in {2, 3}, mirrored_y=turns in {1, 2}
        )

    def apply(self, picture_bgr: Picture) -> Picture:
        """The upright picture, contiguous."""
        if self.transposed:
            picture_bgr = picture_bgr.transpose(1, 0, 2)
        if self.mirrored_x:
            picture_bgr = picture_bgr[:, ::-1]
        if self.mirrored_y:
            picture_bgr = picture_bgr[::-1]
        return np.ascontiguousarray(picture_bgr)


def on_white(picture_bgra: NDArray[np.uint8]) -> Picture:
    """A picture with alpha, (height, width, 4), as it looks on a white page.

    What lies under transparent pixels is no part of the picture and often black or noise.
    """
    alpha = picture_bgra[:, :, 3]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(picture_bgra[:, :, :3])
    weight = cv2.cvtColor(alpha, cv2.COLOR_GRAY2BGR).astype(np.uint16)
    colour = picture_bgra[:, :, :3].astype(np.uint16)
    # 255 levels: adding 127 rounds to the nearest
    return ((colour * weight + np.uint16(255) * (np.uint16(255) - weight) + 127) // 255).astype(
        np.uint8
    )


def check_frame_size(width: int, height: int, *, max_pixels: int) -> None:
    """Refuse a picture by its size, before anything of it is decoded.

    Raises:
        FrameSizeError: no pixels, or more than `max_pixels`.
    """
    if width <= 0 or height <= 0:
        # FFmpeg gives sizes as 0x0 that it finds absurd.
        raise FrameSizeError(
            f"The header tells no usable size of the picture ({width}x{height} pixels): "
            "convert the file and send it again."
        )
    if width * height > max_pixels:
        raise FrameSizeError(
            f"The picture is {width}x{height} pixels, more than the limit of {max_pixels:,}: "
            "scale it down and send it again."
        )


def square_width(width: int, pixel_aspect: Fraction | None) -> int:
    """The width of a stored picture once its pixels are square; even, as encoders want it.

    Args:
        width: in pixels as they are stored.
        pixel_aspect: width of such a pixel by its height. Unknown, or absurd: they are square.
    """
    if not pixel_aspect or not 1 / WIDEST_PIXEL <= pixel_aspect <= WIDEST_PIXEL:
        return width
    square = width * pixel_aspect
    return width if abs(square - width) < 1 else max(2, 2 * round(square / 2))


def fit(picture_bgr: Picture, width: int, height: int) -> Picture:
    """The picture scaled to this size; itself where it has it."""
    if picture_bgr.shape[:2] == (height, width):
        return picture_bgr
    shrinks = picture_bgr.shape[0] >= height and picture_bgr.shape[1] >= width
    scaled = cv2.resize(
        picture_bgr,
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
    )
    return np.asarray(scaled, np.uint8)
