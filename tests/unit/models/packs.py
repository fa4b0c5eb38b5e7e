"""Writes parquet packs with the columns of the real data sets and drawn faces as pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EXPRESSIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear")
OTHER_VOTES = ("contempt", "unknown", "nf")


def drawn_face(index: int, *, side: int) -> bytes:
    """Return a PNG of an oval with eyes and a mouth, whose brightness varies with the index."""
    picture = np.full((side, side, 3), (40, 60, 30 + 8 * (index % 20)), np.uint8)
    middle = side // 2
    cv2.ellipse(
        picture, (middle, middle), (side // 3, side // 2 - 2), 0, 0, 360, (120, 150, 200), -1
    )
    for eye in (-1, 1):
        cv2.circle(
            picture, (middle + eye * side // 7, middle - side // 8), side // 18, (20, 20, 20), -1
        )
    cv2.ellipse(
        picture,
        (middle, middle + side // 5),
        (side // 7, 2 + index % 3),
        0,
        0,
        180,
        (40, 40, 140),
        -1,
    )
    encoded, data = cv2.imencode(".png", picture)
    assert encoded
    return data.tobytes()


def write_packs(folder: Path, *, rows: int) -> None:
    """Write all five packs, with `rows` rows each."""
    indices = range(rows)
    write(
        folder,
        "imfdb",
        {
            "image": [drawn_face(index, side=40 + index % 9) for index in indices],
            "path": [f"Actor{index % 20}/film/images/{index}.jpg" for index in indices],
            "actor": [f"Actor{index % 20}" for index in indices],
            "gender": cycle(rows, "male", "female"),
            "expression": cycle(rows, *EXPRESSIONS),
            "illumination": cycle(rows, "medium", "bad", "high"),
            "pose": cycle(rows, "frontal", "left", "right", "up", "down", None),
            "occlusion": cycle(
                rows, "none", "glasses", "beard", "ornaments", "hair", "hand", "others"
            ),
            "age": cycle(rows, "middle", "young", "old", "child"),
            "makeup": cycle(rows, "partial", "over", "partial"),
        },
    )
    write(
        folder,
        "utkface",
        {
            "image": [drawn_face(index, side=96) for index in indices],
            "path": [f"{index}_0_0_2017.jpg.chip.jpg" for index in indices],
            "age": [1 + 7 * (index % 13) for index in indices],
            "gender": cycle(rows, "female", "male"),
            "race": [index % 5 for index in indices],
        },
    )
    write(
        folder,
        "ferplus",
        {
            "image": [drawn_face(index, side=48) for index in indices],
            "path": [f"FER2013Train/fer{index:07d}.png" for index in indices],
            "usage": cycle(rows, "Training", "Training", "PublicTest"),
            "fer2013_label": cycle(
                rows, "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", None
            ),
            "ferplus_majority": [
                "unknown" if index % 10 == 9 else EXPRESSIONS[index % 7] for index in indices
            ],
            **{
                f"votes_{label}": [
                    0 if index % 10 == 9 else 7 * (index % 7 == number) + (number == 0)
                    for index in indices
                ]
                for number, label in enumerate(EXPRESSIONS)
            },
            **{
                f"votes_{label}": [
                    8 * (index % 10 == 9 and label == "unknown") for index in indices
                ]
                for label in OTHER_VOTES
            },
        },
    )
    write(
        folder,
        "ckplus48",
        {
            "image": [drawn_face(index, side=48) for index in indices],
            "path": [f"x/S{index % 12:03d}_{index}.png" for index in indices],
            "subject": [f"S{index % 12:03d}" for index in indices],
            "expression": cycle(rows, *EXPRESSIONS[1:], "contempt"),
        },
    )
    write(
        folder,
        "facemask",
        {
            "image": [drawn_face(index, side=100) for index in indices],
            "path": [f"with_mask/{index}.png" for index in indices],
            "mask": cycle(rows, True, False),
        },
    )


def write(folder: Path, name: str, columns: dict[str, list[object]]) -> None:
    """Write one pack."""
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def cycle(rows: int, *values: object) -> list[object]:
    """Repeat the values for `rows` rows."""
    return [values[index % len(values)] for index in range(rows)]
