"""Composes training pictures: photographs at random scales, mosaics of photographs and portraits.

Mosaics and scale jitter as for the detectors of the YOLO family (Bochkovskiy, Wang, Liao:
"YOLOv4: Optimal Speed and Accuracy of Object Detection", arXiv:2004.10934); nothing has to be
known of where faces are, since the teacher answers for the finished scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs_models.training.detector.recipe import SceneOptions

_FILLED = 0.75  # share of a side below which a photograph does not stand alone
_NARROWEST = 80  # pixels; narrower parts are not divided any more
_TYPICAL_FACE = 60.0  # pixels, assumed of a photograph of which no face is known


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """An encoded picture of a scene, with the faces that are known in it, if any."""

    image: bytes
    boxes_xyxy: Boxes


class Scenes:
    """Draws scenes of (side, side, 3) uint8 BGR from photographs and portraits.

    Portraits are encoded pictures that a face fills.
    """

    def __init__(
        self, photographs: Sequence[Photograph], portraits: Sequence[bytes], how: SceneOptions
    ) -> None:
        self._photographs = photographs
        self._portraits = portraits
        self._how = how
        self._pictures: dict[bytes, Picture] = {}

    def draw(self, chance: np.random.Generator) -> Picture:
        """One scene; the same generator state gives the same scene."""
        how = self._how
        if chance.random() < how.mosaic_share:
            scene = self._mosaic(chance)
        else:
            scene = self._photograph(how.side, how.side, chance)
        if chance.random() < how.flip_share:
            scene = np.ascontiguousarray(scene[:, ::-1])
        return _recolour(_soften(scene, how, chance), how, chance)

    def _mosaic(self, chance: np.random.Generator) -> Picture:
        side = self._how.side
        scene = np.zeros((side, side, 3), np.uint8)
        across, down = (int(side * chance.uniform(0.3, 0.7)) for _ in range(2))
        for top, bottom in ((0, down), (down, side)):
            for left, right in ((0, across), (across, side)):
                height, width = bottom - top, right - left
                if self._portraits and chance.random() < 0.6:
                    part = self._tiles(height, width, chance)
                else:
                    part = self._photograph(height, width, chance)
                scene[top:bottom, left:right] = part
        return scene

    def _tiles(self, height: int, width: int, chance: np.random.Generator) -> Picture:
        part = np.full((height, width, 3), chance.integers(0, 255, 3), np.uint8)
        # As many rows as to make each size about as likely, down to faces of ten pixels.
        rows = round(math.exp(chance.uniform(0, math.log(self._how.most_tiles))))
        side = max(8, max(height, width) // rows)
        for top in range(0, height, side):
            for left in range(0, width, side):
                tile = self._portrait(round(side * chance.uniform(0.5, 1)), chance)
                tile = tile[: height - top, : width - left]
                part[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return part

    def _portrait(self, longest: int, chance: np.random.Generator) -> Picture:
        picture = self._decoded(self._portraits[int(chance.integers(len(self._portraits)))])
        height, width = picture.shape[:2]
        ratio = longest / max(height, width)
        size = max(4, round(width * ratio)), max(4, round(height * ratio))
        return _resized(picture, *size)

    def _photograph(
        self, height: int, width: int, chance: np.random.Generator, wanted: float | None = None
    ) -> Picture:
        how = self._how
        if wanted is None:
            sizes = math.log(how.smallest_face), math.log(how.largest_face)
            wanted = math.exp(chance.uniform(*sizes))
        index = int(chance.integers(len(self._photographs)))
        picture = self._decoded(self._photographs[index].image)
        boxes = self._photographs[index].boxes_xyxy
        full_h, full_w = picture.shape[:2]
        centre, face = (full_w * chance.random(), full_h * chance.random()), _TYPICAL_FACE
        if len(boxes):
            left, top, right, bottom = boxes[chance.integers(len(boxes))]
            centre, face = ((left + right) / 2, (top + bottom) / 2), max(4.0, bottom - top)
        # A photograph is not blown up far beyond what its pixels hold.
        ratio = float(np.clip(wanted / face, 0.15, 3.0))
        if max(full_w * ratio / width, full_h * ratio / height) < _FILLED and width > _NARROWEST:
            return self._four(height, width, chance, wanted)
        x, y = (
            _start(middle, full, side / ratio, chance)
            for middle, full, side in zip(centre, (full_w, full_h), (width, height), strict=True)
        )
        if ratio < 0.6:
            # Warping skips pixels; a picture that shrinks much is averaged before.
            small = max(1, round(full_w * ratio)), max(1, round(full_h * ratio))
            picture, x, y, ratio = _resized(picture, *small), x * ratio, y * ratio, 1.0
        matrix = np.array([[ratio, 0, -x * ratio], [0, ratio, -y * ratio]], np.float64)
        return np.asarray(
            cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR), np.uint8
        )

    def _four(self, height: int, width: int, chance: np.random.Generator, wanted: float) -> Picture:
        # Four photographs with faces of that size, where one would leave most of it black.
        rows, columns = (height // 2, height - height // 2), (width // 2, width - width // 2)
        return np.vstack(
            [
                np.hstack([self._photograph(row, column, chance, wanted) for column in columns])
                for row in rows
            ]
        )

    def _decoded(self, image: bytes) -> Picture:
        # Kept: the pictures of one training are a gigabyte, decoding them is a third of a scene.
        known = self._pictures.get(image)
        if known is None:
            known = _decode(image)
            self._pictures[image] = known
        return known


def _start(middle: float, full: float, seen: float, chance: np.random.Generator) -> float:
    # Where the scene begins in the photograph: with the face in it, within the photograph if
    # that is large enough.
    start = middle - seen * chance.uniform(0.1, 0.9)
    if seen < full:
        return float(np.clip(start, 0, full - seen))
    return float(-chance.uniform(0, seen - full))


def _decode(image: bytes) -> Picture:
    return np.asarray(cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _resized(picture: Picture, width: int, height: int) -> Picture:
    how = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def _soften(scene: Picture, how: SceneOptions, chance: np.random.Generator) -> Picture:
    if chance.random() < how.blur_share:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), chance.uniform(0.5, 1.8)), np.uint8)
    return scene


def _recolour(scene: Picture, how: SceneOptions, chance: np.random.Generator) -> Picture:
    contrast = math.exp(chance.normal(0, how.contrast))
    gains = contrast * np.exp(chance.normal(0, how.colour, 3))
    offsets = 127.5 * (1 - contrast) + chance.normal(0, how.brightness)
    table = np.clip(np.arange(256)[:, None] * gains + offsets, 0, 255).astype(np.uint8)
    scene = np.asarray(cv2.LUT(scene, table[None]), np.uint8)
    if chance.random() < how.gray_share:
        gray = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
        scene = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)
    if chance.random() < how.noise_share:
        grain: NDArray[np.float32] = chance.standard_normal(scene.shape, np.float32)
        noisy = scene + grain * np.float32(chance.uniform(2, 12))
        scene = np.clip(noisy, 0, 255).astype(np.uint8)
    return scene
