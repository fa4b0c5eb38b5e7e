"""Finds the face that a labelled picture is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.stages import Detector
from faces_jobs.pipeline.values import Detections, Picture

_TIGHT = 128  # longest side up to which a picture is taken for a crop of one face
_TIGHT_INNER = 96  # longest side of such a picture when it is searched for its face
_LARGEST_INNER = 320  # and of any other
_BORDER = 4  # one such part of it is black around it, since tight pictures cut faces off
_LOWEST_SCORE = 0.3
_RIVAL = 0.5  # share of the best score from which on a face may be the meant one


def find_target_boxes(
    pictures_bgr: Sequence[Picture], detector: Detector
) -> list[NDArray[np.float32] | None]:
    """The box of the meant face in each picture, in its own pixels, or None.

    In a small picture that is the best one; in a larger one, which may show others in the
    background, a central and large one. Every picture is brought to one of a few sizes on a
    black ground, so that they share batches. A job does neither that nor takes scores as low: its
    frames show more than a face, while these pictures are cut so tightly that many lack its edges.
    """
    boxes: list[NDArray[np.float32] | None] = [None] * len(pictures_bgr)
    by_inner: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures_bgr):
        by_inner.setdefault(_inner(picture), []).append(index)
    for inner, indices in by_inner.items():
        border = inner // _BORDER
        grounds = [_on_ground(pictures_bgr[index], inner, border) for index in indices]
        for index, found in zip(indices, detector.detect(grounds), strict=True):
            height, width = pictures_bgr[index].shape[:2]
            ratio = inner / max(height, width)
            if len(found) and found.scores[0] >= _LOWEST_SCORE:
                inner_wh = width * ratio, height * ratio
                meant = 0 if inner == _TIGHT_INNER else _most_central(found, inner_wh, border)
                boxes[index] = (found.boxes_xyxy[meant] - border) / ratio
    return boxes


def crop_target_faces(
    pictures_bgr: Sequence[Picture], detector: Detector, *, scale: float, size: int
) -> tuple[list[Picture], list[bool]]:
    """A crop of each picture's meant face, or of all of it where none is found; and which were.

    Args:
        pictures_bgr: uint8, of any size.
        detector: finds the faces.
        scale: side of the crop, in units of the box's longer side.
        size: side of the crop in pixels.
    """
    boxes, found = boxes_to_crop(pictures_bgr, detector)
    crops = [
        crop_faces(picture, box[None], scale=scale, size=size)[0]
        for picture, box in zip(pictures_bgr, boxes, strict=True)
    ]
    return crops, found


def boxes_to_crop(
    pictures_bgr: Sequence[Picture], detector: Detector
) -> tuple[list[NDArray[np.float32]], list[bool]]:
    """The box of each picture's meant face, or of all of it where none is found; and which were."""
    found = find_target_boxes(pictures_bgr, detector)
    boxes = [
        np.array([0, 0, picture.shape[1], picture.shape[0]], np.float32) if box is None else box
        for picture, box in zip(pictures_bgr, found, strict=True)
    ]
    return boxes, [box is not None for box in found]


def _inner(picture: Picture) -> int:
    longest = int(max(picture.shape[:2]))
    if longest <= _TIGHT:
        return _TIGHT_INNER
    return min(_LARGEST_INNER, math.ceil(longest / 64) * 64)


def _on_ground(picture: Picture, inner: int, border: int) -> Picture:
    height, width = picture.shape[:2]
    ratio = inner / max(height, width)
    inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    ground = np.zeros((inner + 2 * border, inner + 2 * border, 3), np.uint8)
    ground[border : border + inner_h, border : border + inner_w] = cv2.resize(
        picture, (inner_w, inner_h), interpolation=how
    )
    return ground


def _most_central(found: Detections, inner_wh: tuple[float, float], border: int) -> int:
    """Index of the face that is large for its distance from the picture's centre."""
    rivals = np.nonzero(found.scores >= max(_LOWEST_SCORE, _RIVAL * found.scores[0]))[0]
    boxes = found.boxes_xyxy[rivals] - border
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    distances = ((centres - np.array(inner_wh, np.float32) / 2) ** 2).sum(axis=1)
    return int(rivals[(areas - 2 * distances).argmax()])
