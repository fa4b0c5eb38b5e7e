"""Cut square crops around boxes: the one geometry, the same at training and at run time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from faces_jobs.pipeline.values import Boxes, Picture


def crop_faces(
    picture_bgr: Picture, boxes_xyxy: Boxes, *, scale: float, size: int
) -> list[Picture]:
    """Cut one square around each box and resize it.

    The square is centred on the box and `scale` times its longer side wide, so that no face is
    stretched. What lies outside the picture repeats its border, since a black edge would be
    something that a network could learn from.

    Args:
        picture_bgr: (height, width, 3) uint8.
        boxes_xyxy: (n, 4) pixels of that picture.
        scale: side of the square in units of the box's longer side.
        size: side of each crop in pixels.

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
    """`crop_faces` of several pictures, one after the other: the `Cropper` of the CPU."""
    return [
        crop
        for picture, boxes in zip(pictures_bgr, boxes_xyxy, strict=True)
        for crop in crop_faces(picture, boxes, scale=scale, size=size)
    ]


def squares_around(
    boxes_xyxy: Boxes, width: int, height: int, *, scale: float
) -> list[tuple[int, int, int]]:
    """The square of each box: left, top and side, in whole pixels of a width x height picture.

    A square may lie partly outside.

    Raises:
        ValueError: one lies wholly outside.
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
    shrinking = side > size
    resized = cv2.resize(
        inside, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8)
