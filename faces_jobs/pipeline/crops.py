"""Crops squares around boxes. Training and inference share this geometry."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from faces_jobs.pipeline.values import Boxes, Picture


def crop_faces(
    picture_bgr: Picture, boxes_xyxy: Boxes, *, scale: float, size: int
) -> list[Picture]:
    """Crop a square around each box and resize it.

    The square is centred on the box, and its side is `scale` times the box's longer side, so that
    no face is stretched. Outside the picture its border is replicated, since networks could learn
    from black margins.

    Args:
        picture_bgr: (height, width, 3) uint8.
        boxes_xyxy: (n, 4) pixels of that picture.
        scale: side of the square as a multiple of the box's longer side.
        size: side of each resized crop in pixels.

    Returns:
        n crops of (size, size, 3) uint8 BGR.
    """
    height, width = picture_bgr.shape[:2]
    return [
        _crop(picture_bgr, *square, size)
        for square in squares_around(boxes_xyxy, width, height, scale=scale)
    ]


def crop_pictures(
    pictures_bgr: Sequence[Picture], boxes_xyxy: Sequence[Boxes], *, scale: float, size: int
) -> list[Picture]:
    """Call `crop_faces` for several pictures: the `Cropper` for the CPU."""
    return [
        crop
        for picture, boxes in zip(pictures_bgr, boxes_xyxy, strict=True)
        for crop in crop_faces(picture, boxes, scale=scale, size=size)
    ]


def squares_around(
    boxes_xyxy: Boxes, width: int, height: int, *, scale: float
) -> list[tuple[int, int, int]]:
    """Return the square around each box: left, top and side, in integer pixels.

    A square may extend beyond the picture of width x height.

    Raises:
        ValueError: a square lies entirely outside the picture.
    """
    squares = []
    for box in np.asarray(boxes_xyxy, np.float64):
        left, top, right, bottom = box
        side = max(1, round(scale * max(right - left, bottom - top)))
        x = math.floor((left + right) / 2 - side / 2 + 0.5)
        y = math.floor((top + bottom) / 2 - side / 2 + 0.5)
        if x >= width or y >= height or x + side <= 0 or y + side <= 0:
            raise ValueError(f"box {box.tolist()} lies outside the {width}x{height} picture")
        squares.append((x, y, side))
    return squares


def _crop(picture_bgr: Picture, x: int, y: int, side: int, size: int) -> Picture:
    height, width = picture_bgr.shape[:2]
    inside = picture_bgr[max(0, y) : min(height, y + side), max(0, x) : min(width, x + side)]
    if inside.shape[:2] != (side, side):
        bordered = cv2.copyMakeBorder(
            inside,
            max(0, -y),
            max(0, y + side - height),
            max(0, -x),
            max(0, x + side - width),
            cv2.BORDER_REPLICATE,
        )
        inside = np.asarray(bordered, np.uint8)
    resized = cv2.resize(
        inside, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8)
