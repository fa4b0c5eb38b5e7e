"""Pictures that may be shown in a card: one photograph in the public domain, changed in many ways.

The photograph is NASA's portrait of the astronaut Eileen Collins, which scikit-image ships: a
smiling woman who looks into the camera. The labelled pictures that models are measured on are
for research and may not be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.data import astronaut

from faces_jobs.pipeline.values import Picture

_SIDE = 160  # pixels of a picture, enough to see what a network sees in 64
_VIEW_XYXY = (134, 30, 314, 210)  # head and shoulders in the photograph
_EYES_XY = (((65, 62), (97, 62)), 12)  # in the picture, and the radius of a glass
_MOUTH_XYXY = (54, 82, 108, 122)
_PLAIN: Mapping[str, str] = {
    "gender": "female",
    "expression": "happiness",
    "pose": "frontal",
    "occlusion": "none",
    "makeup": "partial",
}


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One picture: `name` for files, `what` for readers, `truth` head -> label where it is sure."""

    name: str
    what: str
    picture_bgr: Picture  # (160, 160, 3)
    truth: Mapping[str, str]


def example_pictures() -> list[Example]:
    """The photograph as it is, and changed. The same pictures each time."""
    rgb = astronaut()  # type: ignore[no-untyped-call]  # ships no types
    left, top, right, bottom = _VIEW_XYXY
    view = np.ascontiguousarray(rgb[top:bottom, left:right, ::-1], np.uint8)
    plain = np.asarray(cv2.resize(view, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    return [
        Example(name, what, change(plain), {**_PLAIN, **other})
        for name, what, change, other in _CHANGES
    ]


def _same(picture: Picture) -> Picture:
    return picture


def _dark(picture: Picture) -> Picture:
    return np.asarray(picture * 0.12, np.uint8)


def _bright(picture: Picture) -> Picture:
    return np.asarray(np.clip(picture * 1.5 + 70.0, 0, 255), np.uint8)


def _half_lit(picture: Picture) -> Picture:
    light = np.clip(np.linspace(1.9, -0.6, _SIDE), 0.05, 1.0)[None, :, None]
    return np.asarray(picture * light, np.uint8)


def _blurred(picture: Picture) -> Picture:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 4), np.uint8)


def _small(picture: Picture) -> Picture:
    low = cv2.resize(picture, (26, 26), interpolation=cv2.INTER_AREA)  # a face of about 13 pixels
    return np.asarray(cv2.resize(low, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(1).normal(0, 45, picture.shape)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def _turned(degrees: float) -> Callable[[Picture], Picture]:
    def turn(picture: Picture) -> Picture:
        matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), degrees, 1)
        turned = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(turned, np.uint8)

    return turn


def _sunglasses(picture: Picture) -> Picture:
    glasses = picture.copy()
    eyes, radius = _EYES_XY
    cv2.line(glasses, eyes[0], eyes[1], (25, 20, 20), 3, cv2.LINE_AA)
    for eye in eyes:
        cv2.circle(glasses, eye, radius, (25, 20, 20), -1, cv2.LINE_AA)
    return glasses


def _masked(picture: Picture) -> Picture:
    masked = picture.copy()
    left, top, right, bottom = _MOUTH_XYXY
    middle = (left + right) // 2
    outline = np.array(
        [(left, top), (middle, top - 6), (right, top), (right - 6, bottom - 10), (middle, bottom),
         (left + 6, bottom - 10)]
    )  # fmt: skip
    cv2.fillPoly(masked, [outline], (205, 190, 160), cv2.LINE_AA)
    return masked


def _half_covered(picture: Picture) -> Picture:
    covered = picture.copy()
    covered[:, : (_EYES_XY[0][0][0] + _EYES_XY[0][1][0]) // 2] = (40, 40, 40)
    return covered


_CHANGES: tuple[tuple[str, str, Callable[[Picture], Picture], Mapping[str, str]], ...] = (
    ("plain", "as it is", _same, {}),
    ("dark", "an eighth of the light", _dark, {"illumination": "bad"}),
    ("bright", "overexposed", _bright, {}),
    ("half-lit", "lit from one side", _half_lit, {"illumination": "bad"}),
    ("blurred", "out of focus", _blurred, {}),
    ("small", "13 pixels high", _small, {}),
    ("noisy", "as from a camera in the dark", _noisy, {}),
    ("turned", "head tilted by 40 degrees", _turned(40), {}),
    ("upside-down", "upside down", _turned(180), {}),
    ("sunglasses", "drawn sunglasses", _sunglasses, {"occlusion": "glasses"}),
    ("masked", "a drawn mask", _masked, {"occlusion": "others"}),
    ("half-covered", "half of it behind a post", _half_covered, {"occlusion": "others"}),
)
