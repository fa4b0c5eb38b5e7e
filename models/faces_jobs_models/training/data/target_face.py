"""Finds the target face of a labelled picture: the one that the labels describe."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.protocols import Detector
from faces_jobs.pipeline.values import Detections, Picture

_MAX_TIGHT_SIDE = 128  # longer side up to which a picture is assumed to be a crop of one face
_TIGHT_SIDE = 96  # longer side to which such pictures are resized for detection
_MAX_LOOSE_SIDE = 320  # and all others, at most
_SIDE_STEP = 64
_BORDER_DIVISOR = 4  # the black border is this part of the side, since tight crops cut faces off
_MAX_ASPECT = 8  # of a picture that is cropped as a whole
_MIN_SCORE = 0.3
_MIN_RELATIVE_SCORE = 0.5  # of the best score, for a face to be a candidate


def find_target_boxes(
    pictures_bgr: Sequence[Picture], detector: Detector
) -> list[NDArray[np.float32] | None]:
    """Return the box of the target face in each picture, in the picture's pixels, or None.

    In a small picture that is the face with the best score; in a larger one, which may show other
    people in the background, a large face near the centre. Pictures are resized to a few sizes and
    put on a black background, so that they can be batched. Jobs do neither that nor accept such low
    scores: their frames show more than a face, while many of these pictures are cropped so tightly
    that they lack the outline of the face.
    """
    boxes: list[NDArray[np.float32] | None] = [None] * len(pictures_bgr)
    by_side: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures_bgr):
        by_side.setdefault(_detection_side(picture), []).append(index)
    for side, indices in by_side.items():
        border = side // _BORDER_DIVISOR
        canvases = [_on_black_canvas(pictures_bgr[index], side, border) for index in indices]
        for index, found in zip(indices, detector.detect(canvases), strict=True):
            height, width = pictures_bgr[index].shape[:2]
            ratio = side / max(height, width)
            if len(found) and found.scores[0] >= _MIN_SCORE:
                size_wh = width * ratio, height * ratio
                target = 0 if side == _TIGHT_SIDE else _most_central(found, size_wh, border)
                boxes[index] = (found.boxes_xyxy[target] - border) / ratio
    return boxes


def crop_target_faces(
    pictures_bgr: Sequence[Picture], detector: Detector, *, scale: float, size: int
) -> tuple[list[Picture], list[bool]]:
    """Crop each picture's target face, or the whole picture if no face is detected.

    Args:
        pictures_bgr: uint8, of any size.
        detector: finds the faces.
        scale: side of the crop, in units of the box's longer side.
        size: side of the crop in pixels.

    Returns:
        The crops, and for each picture whether a face was detected.
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
    """Return each picture's target box, or the whole picture, and whether a face was detected."""
    found = find_target_boxes(pictures_bgr, detector)
    boxes = [
        _whole(picture) if box is None else box
        for picture, box in zip(pictures_bgr, found, strict=True)
    ]
    return boxes, [box is not None for box in found]


def _whole(picture: Picture) -> NDArray[np.float32]:
    # Of a strip only the middle: the square around a line of a million pixels fits no memory.
    full_wh = np.array(picture.shape[1::-1], np.float32)
    half_wh = np.minimum(full_wh, _MAX_ASPECT * full_wh.min()) / 2
    return np.concatenate([full_wh / 2 - half_wh, full_wh / 2 + half_wh])


def _detection_side(picture: Picture) -> int:
    longer = int(max(picture.shape[:2]))
    if longer <= _MAX_TIGHT_SIDE:
        return _TIGHT_SIDE
    return min(_MAX_LOOSE_SIDE, math.ceil(longer / _SIDE_STEP) * _SIDE_STEP)


def _on_black_canvas(picture: Picture, side: int, border: int) -> Picture:
    height, width = picture.shape[:2]
    ratio = side / max(height, width)
    resized_w, resized_h = max(1, round(width * ratio)), max(1, round(height * ratio))
    interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((side + 2 * border, side + 2 * border, 3), np.uint8)
    canvas[border : border + resized_h, border : border + resized_w] = cv2.resize(
        picture, (resized_w, resized_h), interpolation=interpolation
    )
    return canvas


def _most_central(found: Detections, size_wh: tuple[float, float], border: int) -> int:
    """Return the index of the face with the largest area, less a penalty for being off-centre."""
    min_score = max(_MIN_SCORE, _MIN_RELATIVE_SCORE * found.scores[0])
    candidates = np.nonzero(found.scores >= min_score)[0]
    boxes = found.boxes_xyxy[candidates] - border
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    distances = ((centres - np.array(size_wh, np.float32) / 2) ** 2).sum(axis=1)
    return int(candidates[(areas - 2 * distances).argmax()])
