"""Test scenes with known faces, composed of a photograph that scikit-image ships."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr

FACE_HEIGHT = FACE_XYXY[3] - FACE_XYXY[1]
WITHOUT_FACES = ("coffee", "rocket", "chelsea", "brick", "gravel", "grass", "coins", "moon", "page")


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A picture and the boxes of all faces in it."""

    name: str
    picture_bgr: Picture
    faces_xyxy: NDArray[np.float32]


def scenes() -> Iterator[Scene]:
    """Yield faces of many sizes, numbers and qualities, and photographs without people."""
    for height in (20, 24, 32, 48, 64, 96, 128, 200):
        yield placed(f"{height} px", [(height, 60, 40)], width=640, height=360)
    yield placed("flipped", [(60, 300, 100)], width=640, height=360, flip=True)
    yield placed("two", [(80, 20, 60), (80, 330, 60)], width=640, height=360)
    row = [(30, 10 + 155 * column, 8 + 118 * line) for line in range(3) for column in range(4)]
    yield placed("twelve", row, width=640, height=360)
    mixed = [(120, 0, 60), (60, 520, 80), (40, 790, 90), (90, 960, 10), (40, 760, 400)]
    yield placed("five sizes in 720p", mixed, width=1280, height=720)
    yield placed("tall", [(64, 10, 500)], width=300, height=1000)
    whole = placed("plain", [(64, 200, 60)], width=640, height=360)
    yield whole
    yield changed(whole, "dark", whole.picture_bgr * 0.3)
    yield changed(whole, "bright", 255 - (255 - whole.picture_bgr.astype(np.float32)) * 0.5)
    yield changed(whole, "soft", cv2.GaussianBlur(whole.picture_bgr, (0, 0), 2))
    gray = cv2.cvtColor(whole.picture_bgr, cv2.COLOR_BGR2GRAY)
    yield changed(whole, "gray", cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    noise = np.random.default_rng(1).normal(0, 15, whole.picture_bgr.shape)
    yield changed(whole, "noisy", whole.picture_bgr + noise)
    _, encoded = cv2.imencode(".jpg", whole.picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 25])
    compressed = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    yield changed(whole, "compressed", compressed)
    yield masked(whole)
    for name in WITHOUT_FACES:
        picture = np.asarray(getattr(skimage.data, name)())
        if picture.ndim == 2:
            picture = np.stack([picture] * 3, axis=-1)
        no_faces = np.zeros((0, 4), np.float32)
        yield Scene(name, np.ascontiguousarray(picture[:, :, 2::-1], np.uint8), no_faces)


def placed(
    name: str,
    faces: list[tuple[int, int, int]],
    *,
    width: int,
    height: int,
    flip: bool = False,
) -> Scene:
    """Place the photograph on gray for each (height of the face, left, top of the photograph)."""
    scene = np.full((height, width, 3), 96, np.uint8)
    boxes = []
    for face_height, left, top in faces:
        ratio = face_height / FACE_HEIGHT
        side = round(512 * ratio)
        interpolation = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(astronaut_bgr(), (side, side), interpolation=interpolation)
        picture = picture[: height - top, : width - left]
        scene[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        boxes.append(np.array(FACE_XYXY) * ratio + (left, top, left, top))
    marked = np.array(boxes, np.float32)
    if flip:
        scene = np.ascontiguousarray(scene[:, ::-1])
        marked[:, [0, 2]] = width - marked[:, [2, 0]]
    return Scene(name, scene, marked)


def changed(scene: Scene, name: str, picture: NDArray[np.generic]) -> Scene:
    """Return the scene with another picture of the same faces."""
    return Scene(name, np.clip(picture, 0, 255).astype(np.uint8), scene.faces_xyxy)


def masked(scene: Scene) -> Scene:
    """Return the scene with a light blue mask over mouth and nose."""
    picture = scene.picture_bgr.copy()
    for left, top, right, bottom in scene.faces_xyxy.round().astype(int):
        middle = top + (bottom - top) * 6 // 10
        shape = [[left, middle], [right, middle], [right - 5, bottom], [left + 5, bottom]]
        cv2.fillPoly(picture, [np.array(shape, np.int32)], (230, 200, 160))
    return Scene("masked", picture, scene.faces_xyxy)
