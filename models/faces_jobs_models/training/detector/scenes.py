"""Composes training pictures: photographs at random scales, mosaics of photographs and portraits.

Mosaics and scale jitter as for the detectors of the YOLO family (Bochkovskiy, Wang, Liao:
"YOLOv4: Optimal Speed and Accuracy of Object Detection", arXiv:2004.10934). The teacher answers for
the finished scene; what is known of its faces only corrects the teacher.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes, Picture
from faces_jobs_models.training.detector.backgrounds import draw_background
from faces_jobs_models.training.detector.recipe import SceneOptions

_FILLED = 0.75  # share of a side below which a photograph does not stand alone
_NARROWEST = 80  # pixels; narrower parts are not divided any more
_TYPICAL_FACE = 60.0  # pixels, assumed of a photograph of which no face is known


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """An encoded picture of a scene, with the faces that are known in it, if any.

    `boxes_xyxy` are those that tell the picture's scale; `marked_xyxy` all that are marked, be they
    small, blurred or doubtful.
    """

    image: bytes
    boxes_xyxy: Boxes
    marked_xyxy: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A training picture, (side, side, 3) uint8 BGR, and what is known of the faces in it.

    Where `known` (side, side) is true, every face is in `marked_xyxy` (n, 4), in pixels of the
    scene; elsewhere there may be faces that nobody marked.
    """

    picture: Picture
    marked_xyxy: Boxes
    known: NDArray[np.bool_]

    def flipped(self) -> Scene:
        """Left and right swapped."""
        boxes = self.marked_xyxy.copy()
        boxes[:, [0, 2]] = self.picture.shape[1] - boxes[:, [2, 0]]
        return Scene(np.ascontiguousarray(self.picture[:, ::-1]), boxes, self.known[:, ::-1])


class Scenes:
    """Draws scenes from photographs, portraits and drawn backgrounds.

    Portraits are encoded pictures that a face fills.
    """

    def __init__(
        self, photographs: Sequence[Photograph], portraits: Sequence[bytes], how: SceneOptions
    ) -> None:
        self._photographs = photographs
        self._portraits = portraits
        self._how = how
        self._pictures: dict[bytes, Picture] = {}

    def draw(self, chance: np.random.Generator, side: int) -> Scene:
        """One scene of `side` x `side` pixels; the same generator state gives the same scene."""
        how = self._how
        kind = chance.random()
        if kind < how.mosaic_share:
            scene = self._mosaic(side, chance)
        elif kind < how.mosaic_share + how.background_share:
            scene = _empty(draw_background(side, side, chance))
        else:
            scene = self._photograph(side, side, chance)
        if chance.random() < how.flip_share:
            scene = scene.flipped()
        picture = _recolour(_soften(scene.picture, how, chance), how, chance)
        return Scene(picture, scene.marked_xyxy, scene.known)

    def _mosaic(self, side: int, chance: np.random.Generator) -> Scene:
        across, down = (int(side * chance.uniform(0.3, 0.7)) for _ in range(2))
        rows, columns = (down, side - down), (across, side - across)
        return _joined([[self._part(row, one, chance) for one in columns] for row in rows])

    def _part(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        kind = chance.random()
        if self._portraits and kind < 0.5:
            return self._tiles(height, width, chance)
        if kind < 0.6:
            return _empty(draw_background(height, width, chance))
        return self._photograph(height, width, chance)

    def _tiles(self, height: int, width: int, chance: np.random.Generator) -> Scene:
        part = _empty(draw_background(height, width, chance))
        # As many rows as to make each size about as likely, down to faces of ten pixels.
        rows = round(math.exp(chance.uniform(0, math.log(self._how.max_tiles))))
        side = max(8, max(height, width) // rows)
        for top in range(0, height, side):
            for left in range(0, width, side):
                if chance.random() < 0.1:
                    continue
                tile = self._portrait(round(side * chance.uniform(0.5, 1)), chance)
                tile = tile[: height - top, : width - left]
                place = slice(top, top + tile.shape[0]), slice(left, left + tile.shape[1])
                part.picture[place] = tile
                part.known[place] = False
        return part

    def _portrait(self, longest: int, chance: np.random.Generator) -> Picture:
        picture = self._decoded(self._portraits[int(chance.integers(len(self._portraits)))])
        height, width = picture.shape[:2]
        ratio = longest / max(height, width)
        size = max(4, round(width * ratio)), max(4, round(height * ratio))
        return _resized(picture, *size)

    def _photograph(
        self, height: int, width: int, chance: np.random.Generator, wanted: float | None = None
    ) -> Scene:
        how = self._how
        index = int(chance.integers(len(self._photographs)))
        photograph = self._photographs[index]
        picture = self._decoded(photograph.image)
        full_h, full_w = picture.shape[:2]
        centre, face = (full_w * chance.random(), full_h * chance.random()), _TYPICAL_FACE
        if wanted is None and chance.random() < how.detail_share:
            # Anything, looked at closely: cloth, leaves, hands, letters.
            ratio = math.exp(chance.uniform(math.log(0.7), math.log(how.max_detail_scale)))
        else:
            if wanted is None:
                largest = max(how.min_face_height, 0.95 * min(height, width))
                sizes = math.log(how.min_face_height), math.log(largest)
                wanted = math.exp(chance.uniform(*sizes))
            boxes = photograph.boxes_xyxy
            if len(boxes):
                left, top, right, bottom = boxes[chance.integers(len(boxes))]
                centre, face = ((left + right) / 2, (top + bottom) / 2), max(4.0, bottom - top)
            # A photograph is not blown up far beyond what its pixels hold.
            ratio = float(np.clip(wanted / face, 0.15, 3.0))
            filled = max(full_w * ratio / width, full_h * ratio / height)
            if filled < _FILLED and width > _NARROWEST:
                return self._four(height, width, chance, wanted)
        x, y = (
            _start(middle, full, side / ratio, chance)
            for middle, full, side in zip(centre, (full_w, full_h), (width, height), strict=True)
        )
        marked = ((photograph.marked_xyxy - (x, y, x, y)) * ratio).astype(np.float32)
        if ratio < 0.6:
            # Warping skips pixels; a picture that shrinks much is averaged before.
            small = max(1, round(full_w * ratio)), max(1, round(full_h * ratio))
            picture, x, y, ratio = _resized(picture, *small), x * ratio, y * ratio, 1.0
        matrix = np.array([[ratio, 0, -x * ratio], [0, ratio, -y * ratio]], np.float64)
        border = cv2.BORDER_REPLICATE if chance.random() < 0.25 else cv2.BORDER_CONSTANT
        colour = chance.integers(0, 256, 3) * (chance.random() < 0.5)
        scene = cv2.warpAffine(
            picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border,
            borderValue=[float(one) for one in colour],
        )  # fmt: skip
        return Scene(np.asarray(scene, np.uint8), marked, np.ones((height, width), np.bool_))

    def _four(self, height: int, width: int, chance: np.random.Generator, wanted: float) -> Scene:
        # Four photographs with faces of that size, where one would leave most of it black.
        rows, columns = (height // 2, height - height // 2), (width // 2, width - width // 2)
        return _joined(
            [[self._photograph(row, one, chance, wanted) for one in columns] for row in rows]
        )

    def _decoded(self, image: bytes) -> Picture:
        # Kept: the pictures of one training are a gigabyte, decoding them is a third of a scene.
        known = self._pictures.get(image)
        if known is None:
            known = _decode(image)
            self._pictures[image] = known
        return known


def _empty(picture: Picture) -> Scene:
    return Scene(picture, np.zeros((0, 4), np.float32), np.ones(picture.shape[:2], np.bool_))


def _joined(rows: Sequence[Sequence[Scene]]) -> Scene:
    boxes, top = [], 0
    for row in rows:
        left = 0
        for part in row:
            height, width = part.picture.shape[:2]
            # A face that leaves its part is seen only as far as the part goes.
            inner = np.clip(part.marked_xyxy, 0, (width, height, width, height))
            boxes.append(inner + np.asarray((left, top, left, top), np.float32))
            left += width
        top += row[0].picture.shape[0]
    return Scene(
        np.vstack([np.hstack([part.picture for part in row]) for row in rows]),
        np.concatenate(boxes).astype(np.float32),
        np.vstack([np.hstack([part.known for part in row]) for row in rows]),
    )


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
