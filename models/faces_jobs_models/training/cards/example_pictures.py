"""Example pictures for model cards: one photograph in the public domain, with modifications.

The photograph is NASA's portrait of the astronaut Eileen Collins, which scikit-image ships: a
smiling woman who looks into the camera. The pictures that models are evaluated on must not be
published: their licences allow research only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from skimage.data import astronaut

from faces_jobs.pipeline.values import Picture

_SIDE = 160  # pixels, enough to show what is left at the network's 64
_VIEW_XYXY = (134, 30, 314, 210)  # head and shoulders in the photograph
_EYES_XY = ((65, 62), (97, 62))  # in the picture
_LENS_RADIUS = 12
_MOUTH_XYXY = (54, 82, 108, 122)
_PLAIN_TRUTH: Mapping[str, str] = {
    "gender": "female",
    "expression": "happiness",
    "pose": "frontal",
    "occlusion": "none",
    "makeup": "partial",
}


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One picture, with its true labels."""

    name: str  # of the file
    description: str  # of the modification
    picture_bgr: Picture  # (160, 160, 3)
    truth: Mapping[str, str]  # head -> label, if certain


def example_pictures() -> list[Example]:
    """Return the photograph, unmodified and with each modification; always the same pictures."""
    rgb = astronaut()  # type: ignore[no-untyped-call]  # ships no types
    left, top, right, bottom = _VIEW_XYXY
    view = np.ascontiguousarray(rgb[top:bottom, left:right, ::-1], np.uint8)
    plain = np.asarray(cv2.resize(view, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    return [
        Example(name, description, modify(plain), {**_PLAIN_TRUTH, **truth})
        for name, description, modify, truth in _MODIFICATIONS
    ]


def _unmodified(picture: Picture) -> Picture:
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
    low = cv2.resize(
        picture, (26, 26), interpolation=cv2.INTER_AREA
    )  # the face has about 13 pixels
    return np.asarray(cv2.resize(low, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noisy(picture: Picture) -> Picture:
    noise = np.random.default_rng(1).normal(0, 45, picture.shape)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def _rotated(degrees: float) -> Callable[[Picture], Picture]:
    def rotate(picture: Picture) -> Picture:
        matrix = cv2.getRotationMatrix2D((_SIDE / 2, _SIDE / 2), degrees, 1)
        rotated = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(rotated, np.uint8)

    return rotate


def _sunglasses(picture: Picture) -> Picture:
    glasses = picture.copy()
    cv2.line(glasses, *_EYES_XY, (25, 20, 20), 3, cv2.LINE_AA)
    for eye in _EYES_XY:
        cv2.circle(glasses, eye, _LENS_RADIUS, (25, 20, 20), -1, cv2.LINE_AA)
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
    covered[:, : (_EYES_XY[0][0] + _EYES_XY[1][0]) // 2] = (40, 40, 40)
    return covered


_MODIFICATIONS: tuple[tuple[str, str, Callable[[Picture], Picture], Mapping[str, str]], ...] = (
    ("plain", "unmodified", _unmodified, {}),
    ("dark", "an eighth of the brightness", _dark, {"illumination": "bad"}),
    ("bright", "overexposed", _bright, {}),
    ("half-lit", "lit from one side", _half_lit, {"illumination": "bad"}),
    ("blurred", "out of focus", _blurred, {}),
    ("small", "13 pixels high", _small, {}),
    ("noisy", "noise as in low light", _noisy, {}),
    ("turned", "rotated by 40 degrees", _rotated(40), {}),
    ("upside-down", "upside down", _rotated(180), {}),
    ("sunglasses", "drawn sunglasses", _sunglasses, {"occlusion": "glasses"}),
    ("masked", "a drawn mask", _masked, {"occlusion": "others"}),
    ("half-covered", "left half covered", _half_covered, {"occlusion": "others"}),
)
