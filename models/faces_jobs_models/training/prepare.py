"""Cuts every training picture once, with the run-time detector and the run-time geometry."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.stages import Detector
from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.samples import UNKNOWN, Sample

MARGIN = 1.25  # crops are kept this much wider, so that shifts and turns find real pixels
_TIGHT = 128  # longest side up to which a picture is taken for a crop of one face
_TIGHT_INNER = 96  # longest side of such a picture when it is searched for its face
_LARGEST_INNER = 320  # and of any other
_BORDER = 4  # one such part of it is black around it, since tight pictures cut faces off
_LOWEST_SCORE = 0.3
_RIVAL = 0.5  # share of the best score from which on a face may be the meant one
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Crops of one data set, memory-mapped, with the labels of every head.

    `crops` (n, side, side, channels) uint8 BGR or gray, side = 64 x MARGIN; `inside` (n, 4)
    float32 is the part of each crop that lies in the picture, as left, top, right, bottom in
    0..1; `targets` head -> (n, labels), rows of zeros where unknown; `truth` head -> (n,) with
    -1 where unknown; `held_out` (n,) bool.
    """

    name: str
    crops: NDArray[np.uint8]
    inside: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    targets: Mapping[str, NDArray[np.float32]]
    truth: Mapping[str, NDArray[np.int64]]


def prepare(
    data_set: DataSet,
    *,
    out: Path,
    detector: Detector,
    crop_scale: float,
    crop_size: int,
    gray: bool,
    skipped: Skipped | None = None,
) -> Prepared:
    """Cut the crops of `data_set`, or open those that an earlier run has cut.

    Args:
        data_set: read only where no crops are there yet, or those of another number of rows.
        out: gets a folder for each set, scale, size and kind of crops.
        detector: finds the face in each picture; where it finds none, all of it is the face.
        crop_scale: side of a crop over that of the face's box, before `MARGIN`.
        crop_size: pixels, before `MARGIN`.
        gray: whether to keep crops without colour.
        skipped: counts pictures that can't be read.
    """
    folder = out / f"{data_set.name}-{crop_scale:g}-{crop_size}-{'gray' if gray else 'bgr'}"
    if not _is_cut(folder, data_set):
        _cut(
            data_set,
            folder=folder,
            detector=detector,
            scale=crop_scale * MARGIN,
            side=round(crop_size * MARGIN),
            gray=gray,
            skipped=Counter() if skipped is None else skipped,
        )
    with np.load(folder / "labels.npz") as arrays:
        labels = dict(arrays)
    return Prepared(
        name=data_set.name,
        crops=np.load(folder / "crops.npy", mmap_mode="r"),
        inside=labels["inside"],
        held_out=labels["held_out"],
        targets={head: labels[f"target_{head}"] for head in HEADS},
        truth={head: labels[f"truth_{head}"] for head in HEADS},
    )


def find_boxes(
    pictures_bgr: Sequence[Picture], detector: Detector
) -> list[NDArray[np.float32] | None]:
    """The box of the meant face in each picture, in its own pixels, or None.

    In a small picture that is the best one; in a larger one, which may show others in the
    background, a central and large one. Every picture is brought to one of a few sizes on a
    black ground, so that they share batches.
    """
    boxes: list[NDArray[np.float32] | None] = [None] * len(pictures_bgr)
    by_inner: dict[int, list[int]] = {}
    for index, picture in enumerate(pictures_bgr):
        by_inner.setdefault(_inner(picture), []).append(index)
    for inner, indices in by_inner.items():
        border = inner // _BORDER
        grounds = [_on_ground(pictures_bgr[index], inner, border) for index in indices]
        for index, found in zip(indices, detector.detect(grounds), strict=True):
            height, width = pictures_bgr[index].shape[:2]
            ratio = inner / max(height, width)
            if len(found) and found.scores[0] >= _LOWEST_SCORE:
                inner_wh = width * ratio, height * ratio
                meant = 0 if inner == _TIGHT_INNER else _most_central(found, inner_wh, border)
                boxes[index] = (found.boxes_xyxy[meant] - border) / ratio
    return boxes


def _inner(picture: Picture) -> int:
    longest = int(max(picture.shape[:2]))
    if longest <= _TIGHT:
        return _TIGHT_INNER
    return min(_LARGEST_INNER, math.ceil(longest / 64) * 64)


def _on_ground(picture: Picture, inner: int, border: int) -> Picture:
    height, width = picture.shape[:2]
    ratio = inner / max(height, width)
    inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    ground = np.zeros((inner + 2 * border, inner + 2 * border, 3), np.uint8)
    ground[border : border + inner_h, border : border + inner_w] = cv2.resize(
        picture, (inner_w, inner_h), interpolation=how
    )
    return ground


def _most_central(found: Detections, inner_wh: tuple[float, float], border: int) -> int:
    """Index of the face that is large for its distance from the picture's centre."""
    rivals = np.nonzero(found.scores >= max(_LOWEST_SCORE, _RIVAL * found.scores[0]))[0]
    boxes = found.boxes_xyxy[rivals] - border
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    distances = ((centres - np.array(inner_wh, np.float32) / 2) ** 2).sum(axis=1)
    return int(rivals[(areas - 2 * distances).argmax()])


def _is_cut(folder: Path, data_set: DataSet) -> bool:
    if not (folder / "done.json").is_file():
        return False
    # Older runs did not note the rows.
    rows = json.loads((folder / "done.json").read_text()).get("rows")
    return rows is None or data_set.n is None or bool(rows == data_set.n)


def _cut(
    data_set: DataSet,
    *,
    folder: Path,
    detector: Detector,
    scale: float,
    side: int,
    gray: bool,
    skipped: Skipped,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Gone first: a run that is cut off while it cuts anew must not leave mixed files for good.
    (folder / "done.json").unlink(missing_ok=True)
    before = Counter(skipped)
    crops: list[NDArray[np.uint8]] = []
    inside: list[NDArray[np.float32]] = []
    kept: list[Sample] = []
    found_faces = 0
    samples = iter(data_set)
    while batch := list(islice(samples, _BATCH)):
        pictures = [_decode(sample.image) for sample in batch]
        readable = [
            (sample, picture)
            for sample, picture in zip(batch, pictures, strict=True)
            if picture is not None
        ]
        skipped[f"{data_set.name} unreadable picture"] += len(batch) - len(readable)
        boxes = find_boxes([picture for _, picture in readable], detector)
        for (sample, picture), found in zip(readable, boxes, strict=True):
            height, width = picture.shape[:2]
            box = found if found is not None else np.array([0, 0, width, height], np.float32)
            found_faces += found is not None
            crop = crop_faces(picture, box[None], scale=scale, size=side)[0]
            crops.append(_gray(crop) if gray else crop)
            inside.append(_inside(box, scale, width, height))
            kept.append(sample)
    labels: dict[str, NDArray[np.generic]] = {
        "inside": np.array(inside, np.float32).reshape(-1, 4),
        "held_out": np.array([sample.held_out for sample in kept], bool),
    }
    for head, names in HEADS.items():
        unknown = np.zeros(len(names), np.float32)
        rows = [sample.targets.get(head, unknown) for sample in kept]
        labels[f"target_{head}"] = np.array(rows, np.float32).reshape(-1, len(names))
        labels[f"truth_{head}"] = np.array(
            [sample.truth.get(head, UNKNOWN) for sample in kept], np.int64
        )
    channels = 1 if gray else 3
    np.save(folder / "crops.npy", np.array(crops, np.uint8).reshape(-1, side, side, channels))
    np.savez(folder / "labels.npz", **labels)  # type: ignore[arg-type]  # its stub wants bool
    # Written last: a run that was cut off in between starts this set again.
    report = {
        "rows": data_set.n,
        "pictures": len(kept),
        "held_out": sum(sample.held_out for sample in kept),
        "with_detected_face": found_faces,
        "skipped": dict(skipped - before),
    }
    (folder / "done.json").write_text(json.dumps(report, indent=2))


def _decode(image: bytes) -> Picture | None:
    decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    return None if decoded is None else np.asarray(decoded, np.uint8)


def _gray(crop_bgr: Picture) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY), np.uint8)[:, :, None]


def _inside(
    box_xyxy: NDArray[np.float32], scale: float, width: int, height: int
) -> NDArray[np.float32]:
    left, top, right, bottom = box_xyxy
    side = scale * max(right - left, bottom - top)
    corner_x, corner_y = (left + right - side) / 2, (top + bottom - side) / 2
    ends = np.array([-corner_x, -corner_y, width - corner_x, height - corner_y], np.float32)
    return np.asarray(np.clip(ends / max(side, 1e-6), 0, 1), np.float32)
