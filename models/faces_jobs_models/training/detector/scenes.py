"""Composes training pictures: photographs at random scales, mosaics of photographs and portraits.

Mosaics and scale jitter as for the detectors of the YOLO family (Bochkovskiy, Wang, Liao:
"YOLOv4: Optimal Speed and Accuracy of Object Detection", arXiv:2004.10934). The targets are the
teacher's outputs for the composed scene; annotated faces are only used to correct the teacher.
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
from faces_jobs_models.training.readers.decoding import decode_or_raise

_MIN_FILLED = 0.75  # share of a side that a photograph must fill to be used alone
_MIN_DIVIDED = 80  # pixels; narrower parts are not divided into four
_TYPICAL_FACE = 60.0  # height in pixels, assumed for photographs without an annotated face
_MIN_RATIO, _MAX_RATIO = 0.15, 3.0  # of scaling a photograph; beyond, pixels are lost or made up
_MIN_DETAIL_RATIO = 0.7
_MIN_WARP_RATIO = 0.6  # below, a photograph is area-averaged first, since warping would alias


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """An encoded picture, with its annotated faces, if any.

    `boxes_xyxy` are those that determine the picture's scale; `marked_xyxy` are all annotated ones,
    including small, blurred and doubtful faces.
    """

    image: bytes
    boxes_xyxy: Boxes
    marked_xyxy: Boxes


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A training picture, (side, side, 3) uint8 BGR, with its annotated faces.

    Where `known` (side, side) is true, all faces are in `marked_xyxy` (n, 4), in pixels of the
    scene; elsewhere there may be faces without annotation.
    """

    picture: Picture
    marked_xyxy: Boxes
    known: NDArray[np.bool_]

    def flipped(self) -> Scene:
        """Return the scene flipped horizontally."""
        boxes = self.marked_xyxy.copy()
        boxes[:, [0, 2]] = self.picture.shape[1] - boxes[:, [2, 0]]
        return Scene(np.ascontiguousarray(self.picture[:, ::-1]), boxes, self.known[:, ::-1])


class Scenes:
    """Generates scenes from photographs, portraits and synthetic backgrounds.

    Portraits are encoded pictures that are filled by one face.
    """

    def __init__(
        self, photographs: Sequence[Photograph], portraits: Sequence[bytes], options: SceneOptions
    ) -> None:
        self._photographs = photographs
        self._portraits = portraits
        self._options = options
        self._decoded: dict[bytes, Picture] = {}

    def draw(self, rng: np.random.Generator, side: int) -> Scene:
        """Return a scene of `side` x `side` pixels, which only depends on the generator's state."""
        options = self._options
        kind = rng.random()
        if kind < options.mosaic_share:
            scene = self._mosaic(side, rng)
        elif kind < options.mosaic_share + options.background_share:
            scene = _without_faces(draw_background(side, side, rng))
        else:
            scene = self._photograph(side, side, rng)
        if rng.random() < options.flip_share:
            scene = scene.flipped()
        picture = _change_colours(_blur(scene.picture, options, rng), options, rng)
        return Scene(picture, scene.marked_xyxy, scene.known)

    def _mosaic(self, side: int, rng: np.random.Generator) -> Scene:
        x, y = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
        heights, widths = (y, side - y), (x, side - x)
        return _join([[self._mosaic_part(h, w, rng) for w in widths] for h in heights])

    def _mosaic_part(self, height: int, width: int, rng: np.random.Generator) -> Scene:
        kind = rng.random()
        if self._portraits and kind < 0.5:
            return self._tiled_portraits(height, width, rng)
        if kind < 0.6:
            return _without_faces(draw_background(height, width, rng))
        return self._photograph(height, width, rng)

    def _tiled_portraits(self, height: int, width: int, rng: np.random.Generator) -> Scene:
        part = _without_faces(draw_background(height, width, rng))
        # The logarithm of the number of rows is uniform, so that all sizes of faces occur, down to
        # ten pixels.
        rows = round(math.exp(rng.uniform(0, math.log(self._options.max_tiles))))
        side = max(8, max(height, width) // rows)
        for top in range(0, height, side):
            for left in range(0, width, side):
                if rng.random() < 0.1:
                    continue
                tile = self._portrait(round(side * rng.uniform(0.5, 1)), rng)
                tile = tile[: height - top, : width - left]
                area = slice(top, top + tile.shape[0]), slice(left, left + tile.shape[1])
                part.picture[area] = tile
                part.known[area] = False
        return part

    def _portrait(self, longer_side: int, rng: np.random.Generator) -> Picture:
        picture = self._decode(self._portraits[int(rng.integers(len(self._portraits)))])
        height, width = picture.shape[:2]
        ratio = longer_side / max(height, width)
        size = max(4, round(width * ratio)), max(4, round(height * ratio))
        return _resize(picture, *size)

    def _photograph(
        self, height: int, width: int, rng: np.random.Generator, face_height: float | None = None
    ) -> Scene:
        """Crop a random photograph, scaled so that one of its faces has the given height.

        Without a height a random one is drawn, or the photograph is shown enlarged anywhere.
        """
        options = self._options
        photograph = self._photographs[int(rng.integers(len(self._photographs)))]
        picture = self._decode(photograph.image)
        full_h, full_w = picture.shape[:2]
        centre, face = (full_w * rng.random(), full_h * rng.random()), _TYPICAL_FACE
        if face_height is None and rng.random() < options.detail_share:
            # Any detail, enlarged: cloth, leaves, hands, letters.
            bounds = math.log(_MIN_DETAIL_RATIO), math.log(options.max_detail_scale)
            ratio = math.exp(rng.uniform(*bounds))
        else:
            if face_height is None:
                largest = max(options.min_face_height, 0.95 * min(height, width))
                face_height = math.exp(
                    rng.uniform(math.log(options.min_face_height), math.log(largest))
                )
            boxes = photograph.boxes_xyxy
            if len(boxes):
                left, top, right, bottom = boxes[rng.integers(len(boxes))]
                centre, face = ((left + right) / 2, (top + bottom) / 2), max(4.0, bottom - top)
            ratio = float(np.clip(face_height / face, _MIN_RATIO, _MAX_RATIO))
            filled = max(full_w * ratio / width, full_h * ratio / height)
            if filled < _MIN_FILLED and width > _MIN_DIVIDED:
                return self._four_photographs(height, width, rng, face_height)
        x, y = (
            _crop_start(middle, full, side / ratio, rng)
            for middle, full, side in zip(centre, (full_w, full_h), (width, height), strict=True)
        )
        marked = ((photograph.marked_xyxy - (x, y, x, y)) * ratio).astype(np.float32)
        scene = _warp(picture, (x, y), ratio, (width, height), rng)
        return Scene(scene, marked, np.ones((height, width), np.bool_))

    def _four_photographs(
        self, height: int, width: int, rng: np.random.Generator, face_height: float
    ) -> Scene:
        # For faces so small that a single photograph would leave most of the scene black.
        heights, widths = (height // 2, height - height // 2), (width // 2, width - width // 2)
        return _join([[self._photograph(h, w, rng, face_height) for w in widths] for h in heights])

    def _decode(self, image: bytes) -> Picture:
        # Cached: all pictures of a training take a gigabyte, decoding a third of a scene's time.
        picture = self._decoded.get(image)
        if picture is None:
            picture = self._decoded[image] = decode_or_raise(image)
        return picture


def _without_faces(picture: Picture) -> Scene:
    return Scene(picture, np.zeros((0, 4), np.float32), np.ones(picture.shape[:2], np.bool_))


def _join(rows: Sequence[Sequence[Scene]]) -> Scene:
    boxes, top = [], 0
    for row in rows:
        left = 0
        for part in row:
            height, width = part.picture.shape[:2]
            # Faces that extend beyond their part are cut off at its edge.
            clipped = np.clip(part.marked_xyxy, 0, (width, height, width, height))
            boxes.append(clipped + np.asarray((left, top, left, top), np.float32))
            left += width
        top += row[0].picture.shape[0]
    return Scene(
        np.vstack([np.hstack([part.picture for part in row]) for row in rows]),
        np.concatenate(boxes).astype(np.float32),
        np.vstack([np.hstack([part.known for part in row]) for row in rows]),
    )


def _crop_start(middle: float, full: float, visible: float, rng: np.random.Generator) -> float:
    # Start of the crop along one axis of the photograph: the face is in it, and the crop is within
    # the photograph if that is large enough.
    start = middle - visible * rng.uniform(0.1, 0.9)
    if visible < full:
        return float(np.clip(start, 0, full - visible))
    return float(-rng.uniform(0, visible - full))


def _warp(
    picture: Picture,
    start_xy: tuple[float, float],
    ratio: float,
    size_wh: tuple[int, int],
    rng: np.random.Generator,
) -> Picture:
    x, y = start_xy
    if ratio < _MIN_WARP_RATIO:
        full_h, full_w = picture.shape[:2]
        small = max(1, round(full_w * ratio)), max(1, round(full_h * ratio))
        picture, x, y, ratio = _resize(picture, *small), x * ratio, y * ratio, 1.0
    matrix = np.array([[ratio, 0, -x * ratio], [0, ratio, -y * ratio]], np.float64)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.25 else cv2.BORDER_CONSTANT
    colour = rng.integers(0, 256, 3) * (rng.random() < 0.5)
    scene = cv2.warpAffine(
        picture, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=border,
        borderValue=[float(one) for one in colour],
    )  # fmt: skip
    return np.asarray(scene, np.uint8)


def _resize(picture: Picture, width: int, height: int) -> Picture:
    interpolation = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def _blur(scene: Picture, options: SceneOptions, rng: np.random.Generator) -> Picture:
    if rng.random() < options.blur_share:
        scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.5, 1.8)), np.uint8)
    return scene


def _change_colours(scene: Picture, options: SceneOptions, rng: np.random.Generator) -> Picture:
    contrast = math.exp(rng.normal(0, options.contrast))
    gains = contrast * np.exp(rng.normal(0, options.colour, 3))
    offsets = 127.5 * (1 - contrast) + rng.normal(0, options.brightness)
    table = np.clip(np.arange(256)[:, None] * gains + offsets, 0, 255).astype(np.uint8)
    scene = np.asarray(cv2.LUT(scene, table[None]), np.uint8)
    if rng.random() < options.gray_share:
        gray = cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY)
        scene = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), np.uint8)
    if rng.random() < options.noise_share:
        noise: NDArray[np.float32] = rng.standard_normal(scene.shape, np.float32)
        noisy = scene + noise * np.float32(rng.uniform(2, 12))
        scene = np.clip(noisy, 0, 255).astype(np.uint8)
    return scene
