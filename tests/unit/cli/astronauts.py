"""A tiny labelled data set of the one face that an installed package ships."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.unit.models.packs import write
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr

SIDES = (200, 140, 96, 64)  # pixels of the square picture around the face


def faces() -> list[bytes]:
    """Eileen Collins, 44, smiling, in four sizes, each as she is and mirrored. PNG."""
    left, top, right, bottom = (round(value) for value in FACE_XYXY)
    margin = 30
    tight = astronaut_bgr()[
        top - margin : bottom + margin, left - margin - 15 : right + margin + 15
    ]
    pictures = []
    for side in SIDES:
        small = cv2.resize(tight, (side, side), interpolation=cv2.INTER_AREA)
        pictures += [encoded(small), encoded(np.ascontiguousarray(small[:, ::-1]))]
    return pictures


def encoded(picture: np.ndarray) -> bytes:
    """As PNG."""
    written, data = cv2.imencode(".png", picture)
    assert written
    return data.tobytes()


def write_gender_and_age(folder: Path, images: list[bytes], name: str = "utkface") -> None:
    """As the pack of UTKFace."""
    n = len(images)
    write(
        folder,
        name,
        {
            "image": list(images),
            "path": [f"44_1_0_{index}.jpg" for index in range(n)],
            "age": [44] * n,
            "gender": ["female"] * n,
            "race": [0] * n,
        },
    )


def write_expression(folder: Path, images: list[bytes], labels: list[str] | None = None) -> None:
    """As the pack of CK+."""
    n = len(images)
    write(
        folder,
        "ckplus48",
        {
            "image": list(images),
            "path": [f"x/S{index:03d}_1.png" for index in range(n)],
            "subject": [f"S{index:03d}" for index in range(n)],
            "expression": list(labels or ["happiness"] * n),
        },
    )


def write_film_frames(folder: Path, images: list[bytes]) -> None:
    """As the pack of IMFDB; what the photograph does not tell is None."""
    n = len(images)
    write(
        folder,
        "imfdb",
        {
            "image": list(images),
            "path": [f"A/b/images/{index}.jpg" for index in range(n)],
            "actor": [f"Actor{index}" for index in range(n)],
            "movie": ["b"] * n,
            "width": [40 + 10 * index for index in range(n)],
            "height": [40 + 10 * index for index in range(n)],
            "gender": ["female"] * n,
            "expression": ["happiness"] * n,
            "illumination": ["medium"] * n,
            "pose": ["frontal"] * n,
            "occlusion": ["none"] * n,
            "age": ["middle"] * n,
            "makeup": [None] * n,
        },
    )
