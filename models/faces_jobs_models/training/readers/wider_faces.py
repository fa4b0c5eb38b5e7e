"""WIDER FACE: pictures with annotated faces, in the official layout or as a parquet pack.

S. Yang, P. Luo, C. C. Loy, X. Tang: "WIDER FACE: A Face Detection Benchmark", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faces_jobs.errors import DataLayoutError
from faces_jobs.pipeline.values import Boxes
from faces_jobs_models.training.readers.data_set import (
    HELD_OUT_SHARE,
    DetectionSample,
    DetectionSet,
    Skipped,
)
from faces_jobs_models.training.readers.parquet_rows import (
    encoded_picture,
    iter_rows,
    read_header,
)
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import is_held_out

LAYOUT = "WIDER FACE: wider_face_train_bbx_gt.txt with WIDER_train/images next to it or above it"
PACK_LAYOUT = "*.parquet with the columns image, boxes_xywh and invalid"
_NAME = "wider_faces"
_PARTS = {"wider_face_train_bbx_gt.txt": "train", "wider_face_val_bbx_gt.txt": "val"}
_PACK = frozenset({"image", "boxes_xywh", "invalid"})
_OWN_PACK = _PACK | {"path", "width", "height", "blur", "occlusion"}
_INVALID_COLUMN = 7  # of a row: x, y, w, h, blur, expression, illumination, invalid, ...


def open_wider_faces(place: Place, skipped: Skipped) -> list[DetectionSet]:
    """Open the part that this file of boxes belongs to. The part `val` is held out as a whole."""
    boxes = place.path
    part = _PARTS.get(boxes.name)
    if part is None or boxes.is_dir():
        return []
    images = next(
        (
            folder / inner
            for folder in (boxes.parent, boxes.resolve().parent.parent)
            for inner in (f"WIDER_{part}/images", "images")
            if (folder / inner).is_dir()
        ),
        None,
    )
    if images is None:
        skipped[f"{boxes.name} has no WIDER_{part}/images next to it or above it"] += 1
        return []
    name = _NAME if part == "train" else f"{_NAME}_{part}"
    return [
        DetectionSet(name, _NAME, boxes, None, lambda: _read(name, part, boxes, images, skipped))
    ]


def open_detection_pack(place: Place, skipped: Skipped) -> list[DetectionSet]:
    """Open the annotated pictures in a parquet file."""
    path = place.path
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return []
    head = read_header(path, skipped)
    if head is None:
        return []
    columns, n = head
    if not columns >= _PACK:
        return []
    name = _NAME if columns == _OWN_PACK else path.stem
    return [DetectionSet(name, "parquet", path, n, lambda: _read_pack(name, path, skipped))]


def _read(
    name: str, part: str, boxes: Path, images: Path, skipped: Skipped
) -> Iterator[DetectionSample]:
    for picture, rows in _pictures(boxes):
        image = read_picture(images, picture, name, skipped)
        if image is not None:
            faces, kept = _boxes(name, [row[:4] for row in rows], skipped)
            invalid = [len(row) > _INVALID_COLUMN and row[_INVALID_COLUMN] != 0 for row in rows]
            held_out = part == "val" or _held_out(f"WIDER_train/images/{picture}")
            yield DetectionSample(image, faces, np.array(invalid, bool)[kept], held_out)


def _pictures(boxes: Path) -> Iterator[tuple[str, list[list[float]]]]:
    """Yield each picture's path and rows. The file has the path, a count, and a line per face."""
    text = boxes.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line.strip() for line in text.splitlines()]
    start = 0
    while start < len(lines):
        if not lines[start]:
            start += 1
            continue
        try:
            count = int(lines[start + 1])
            # A picture without a face still has one line, of zeros.
            end = start + 2 + max(count, 1)
            rows = [[float(number) for number in line.split()] for line in lines[start + 2 : end]]
        except (ValueError, IndexError):
            count, rows, end = -1, [], start
        if not 0 <= count <= len(rows) or any(len(row) < 4 for row in rows[:count]):
            raise DataLayoutError(
                f"{boxes}, from line {start + 1} on: expected a picture's path, the number of its "
                "faces, and a line of at least four numbers for each."
            )
        yield lines[start], rows[:count]
        start = end


def _read_pack(name: str, path: Path, skipped: Skipped) -> Iterator[DetectionSample]:
    rows = iter_rows(path, _PACK | {"path"})
    for number, row in enumerate(rows, start=1):
        sample = _sample_of_row(name, number, row, skipped)
        if sample is not None:
            yield sample


def _sample_of_row(
    name: str, number: int, row: dict[str, Any], skipped: Skipped
) -> DetectionSample | None:
    image = encoded_picture(row["image"])
    boxes, invalid = row["boxes_xywh"] or [], row["invalid"] or []
    if (
        image is None
        or not isinstance(boxes, list)
        or not isinstance(invalid, list)
        or len(boxes) != len(invalid)
        or not all(map(_is_box, boxes))
    ):
        skipped[f"{name} row without a picture, or with broken boxes"] += 1
        return None
    held_out = _held_out(row.get("path") or f"{name}/{number}")
    faces, kept = _boxes(name, boxes, skipped)
    return DetectionSample(image, faces, np.array(invalid, bool)[kept], held_out)


def _is_box(box: object) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(number, int | float) for number in box)
    )


def _boxes(
    name: str, xywh: Sequence[Sequence[float]], skipped: Skipped
) -> tuple[Boxes, NDArray[np.bool_]]:
    """Convert boxes to xyxy without those of zero area, and return the mask of those kept."""
    boxes = np.array(xywh, np.float32).reshape(-1, 4)
    kept = np.asarray(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))
    if not kept.all():
        skipped[f"{name} box without an area"] += int((~kept).sum())
    boxes[:, 2:] += boxes[:, :2]
    return boxes[kept], kept


def _held_out(path: str) -> bool:
    return is_held_out(f"{_NAME}/{path}", HELD_OUT_SHARE)
