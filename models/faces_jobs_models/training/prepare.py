"""Cuts every training picture once, with the run-time detector and the run-time geometry."""

from __future__ import annotations

import json
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
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.training.packs import read_pack
from faces_jobs_models.training.samples import UNKNOWN, Sample

MARGIN = 1.25  # crops are kept this much wider, so that shifts and turns find real pixels
_INNER = 96  # longest side of a picture when it is searched for its face
_BORDER = 24  # and the black around it, since tight pictures cut faces off
_LOWEST_SCORE = 0.3
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
    data_set: str,
    *,
    data: Path,
    out: Path,
    detector: Detector,
    crop_scale: float,
    crop_size: int,
    gray: bool,
) -> Prepared:
    """Cut the crops of `data_set`, or open those that an earlier run has cut.

    Raises:
        ModelError: the data set is missing or of another layout.
    """
    folder = out / f"{data_set}-{crop_scale:g}-{crop_size}-{'gray' if gray else 'bgr'}"
    if not (folder / "done.json").is_file():
        _cut(
            data_set,
            data=data,
            folder=folder,
            detector=detector,
            scale=crop_scale * MARGIN,
            side=round(crop_size * MARGIN),
            gray=gray,
        )
    with np.load(folder / "labels.npz") as arrays:
        labels = dict(arrays)
    return Prepared(
        name=data_set,
        crops=np.load(folder / "crops.npy", mmap_mode="r"),
        inside=labels["inside"],
        held_out=labels["held_out"],
        targets={head: labels[f"target_{head}"] for head in HEADS},
        truth={head: labels[f"truth_{head}"] for head in HEADS},
    )


def find_boxes(
    pictures_bgr: Sequence[Picture], detector: Detector
) -> list[NDArray[np.float32] | None]:
    """The box of the best face in each picture, in its own pixels, or None.

    Every picture is brought to one size on a black ground, so that they share batches.
    """
    grounds, ratios = [], []
    side = _INNER + 2 * _BORDER
    for picture in pictures_bgr:
        height, width = picture.shape[:2]
        ratio = _INNER / max(height, width)
        inner_w, inner_h = max(1, round(width * ratio)), max(1, round(height * ratio))
        how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
        ground = np.zeros((side, side, 3), np.uint8)
        ground[_BORDER : _BORDER + inner_h, _BORDER : _BORDER + inner_w] = cv2.resize(
            picture, (inner_w, inner_h), interpolation=how
        )
        grounds.append(ground)
        ratios.append(ratio)
    return [
        (found.boxes_xyxy[0] - _BORDER) / ratio
        if len(found) and found.scores[0] >= _LOWEST_SCORE
        else None
        for found, ratio in zip(detector.detect(grounds), ratios, strict=True)
    ]


def _cut(
    data_set: str,
    *,
    data: Path,
    folder: Path,
    detector: Detector,
    scale: float,
    side: int,
    gray: bool,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    skipped: Counter[str] = Counter()
    crops: list[NDArray[np.uint8]] = []
    inside: list[NDArray[np.float32]] = []
    kept: list[Sample] = []
    found_faces = 0
    samples = read_pack(data, data_set, skipped)
    while batch := list(islice(samples, _BATCH)):
        pictures = [_decode(sample.image) for sample in batch]
        readable = [
            (sample, picture)
            for sample, picture in zip(batch, pictures, strict=True)
            if picture is not None
        ]
        skipped[f"{data_set} unreadable picture"] += len(batch) - len(readable)
        boxes = find_boxes([picture for _, picture in readable], detector) if readable else []
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
        "pictures": len(kept),
        "held_out": sum(sample.held_out for sample in kept),
        "with_detected_face": found_faces,
        "skipped": {reason: count for reason, count in skipped.items() if count},
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
