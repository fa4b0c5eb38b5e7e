"""Crops the faces of a data set once, with the detector and the crop geometry of run time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faces_jobs.jobs.labels import HEADS
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.protocols import Detector
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.training.data.fingerprints import SampleHash, origin_of
from faces_jobs_models.training.data.rows_on_disk import NpyWriter
from faces_jobs_models.training.data.target_face import boxes_to_crop
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.decoding import decode
from faces_jobs_models.training.readers.samples import UNKNOWN, Sample

MARGIN = 1.25  # crops are this much wider, so that shifts and rotations find real pixels
_BATCH_SIZE = 32
_DONE = "done.json"  # written last into a folder of crops: a summary of them


@dataclass(frozen=True, slots=True, eq=False)
class PreparedDataSet:
    """Crops of one data set, memory-mapped, with the labels of every head.

    Attributes:
        name: of the data set.
        content: hash of pictures, labels, split and detector, but not of their location.
        crops: (n, side, side, channels) uint8 BGR or gray, side = 64 x MARGIN.
        inside: (n, 4) float32, part of each crop that lies in the picture: left, top, right, bottom
            in 0..1.
        held_out: (n,) bool.
        group: (n,) as in a `Sample`.
        targets: head -> (n, labels), rows of zeros where unknown.
        truth: head -> (n,), -1 where unknown.
    """

    name: str
    content: str
    crops: NDArray[np.uint8]
    inside: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    group: NDArray[np.str_]
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
    report: Callable[[str], None] = lambda _: None,
) -> PreparedDataSet:
    """Crop the faces of `data_set`, or open the crops of an earlier run.

    Args:
        data_set: only read if there are no crops of these files yet.
        out: gets a folder for each data set, scale, size and kind of crops.
        detector: finds the face in each picture; if it finds none, the whole picture is cropped.
        crop_scale: side of the crop, in units of the box's longer side, before `MARGIN`.
        crop_size: side of the crop in pixels, before `MARGIN`.
        gray: whether to convert crops to grayscale.
        skipped: counts pictures that can't be read.
        report: called with a line of text if existing crops are replaced.
    """
    folder = out / f"{data_set.name}-{crop_scale:g}-{crop_size}-{'gray' if gray else 'bgr'}"
    origin = origin_of(data_set, detector)
    existing = _origin_of_crops(folder)
    if existing != origin:
        if existing is not None:
            changed = [key for key in origin if origin[key] != existing.get(key)]
            report(f"{data_set.name}: cropping again, since {' and '.join(changed)} changed")
        _crop_all(
            data_set,
            folder=folder,
            origin=origin,
            detector=detector,
            scale=crop_scale * MARGIN,
            side=round(crop_size * MARGIN),
            gray=gray,
            skipped=Counter() if skipped is None else skipped,
        )
    with np.load(folder / "labels.npz") as arrays:
        labels = dict(arrays)
    return PreparedDataSet(
        name=data_set.name,
        content=json.loads((folder / _DONE).read_text())["content"],
        crops=np.load(folder / "crops.npy", mmap_mode="r"),
        inside=labels["inside"],
        held_out=labels["held_out"],
        group=labels["group"],
        targets={head: labels[f"target_{head}"] for head in HEADS},
        truth={head: labels[f"truth_{head}"] for head in HEADS},
    )


def _origin_of_crops(folder: Path) -> Mapping[str, str] | None:
    """Return the origin of the crops in `folder`; None if they are missing or incomplete."""
    try:
        return dict(json.loads((folder / _DONE).read_text()).get("origin", {}))
    except (FileNotFoundError, ValueError):  # the latter if the disk was full
        return None


def _crop_all(
    data_set: DataSet,
    *,
    folder: Path,
    origin: Mapping[str, str],
    detector: Detector,
    scale: float,
    side: int,
    gray: bool,
    skipped: Skipped,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Removed first: if this run is interrupted, old and new files must not pass for complete.
    (folder / _DONE).unlink(missing_ok=True)
    before = Counter(skipped)
    found_faces = 0
    content = SampleHash()
    samples = iter(data_set)
    parts = [_labels([], [])]
    with NpyWriter(folder / "crops.npy", (side, side, 1 if gray else 3)) as crops:
        while batch := list(islice(samples, _BATCH_SIZE)):
            pictures = [
                decode(sample.image, skipped=skipped, source=data_set.name) for sample in batch
            ]
            readable = [
                (sample, picture)
                for sample, picture in zip(batch, pictures, strict=True)
                if picture is not None
            ]
            boxes, found = boxes_to_crop([picture for _, picture in readable], detector)
            found_faces += sum(found)
            inside = []
            for (sample, picture), box in zip(readable, boxes, strict=True):
                crop = crop_faces(picture, box[None], scale=scale, size=side)[0]
                crops.append(_gray(crop) if gray else crop)
                inside.append(_inside(box, scale, picture))
                content.add(sample)
            parts.append(_labels([sample for sample, _ in readable], inside))
    labels = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    np.savez(folder / "labels.npz", **labels)  # type: ignore[arg-type]  # its stub wants bool
    # Written last: after an interruption the data set is cropped again.
    summary = {
        "origin": dict(origin),
        "content": f"{content.hexdigest()} {detector.name} {detector.version}",
        "rows": data_set.row_count,
        "pictures": len(labels["held_out"]),
        "held_out": int(labels["held_out"].sum()),
        "with_detected_face": found_faces,
        "skipped": dict(skipped - before),
    }
    (folder / _DONE).write_text(json.dumps(summary, indent=2))


def _labels(
    samples: Sequence[Sample], inside: Sequence[NDArray[np.float32]]
) -> dict[str, NDArray[Any]]:
    labels: dict[str, NDArray[Any]] = {
        "inside": np.array(inside, np.float32).reshape(-1, 4),
        "held_out": np.array([sample.held_out for sample in samples], bool),
        "group": np.array([sample.group for sample in samples], np.str_),
    }
    for head, names in HEADS.items():
        unknown = np.zeros(len(names), np.float32)
        rows = [sample.targets.get(head, unknown) for sample in samples]
        labels[f"target_{head}"] = np.array(rows, np.float32).reshape(-1, len(names))
        labels[f"truth_{head}"] = np.array(
            [sample.truth.get(head, UNKNOWN) for sample in samples], np.int64
        )
    return labels


def _gray(crop_bgr: Picture) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(crop_bgr, cv2.COLOR_BGR2GRAY), np.uint8)[:, :, None]


def _inside(box_xyxy: NDArray[np.float32], scale: float, picture: Picture) -> NDArray[np.float32]:
    height, width = picture.shape[:2]
    left, top, right, bottom = box_xyxy
    side = scale * max(right - left, bottom - top)
    corner_x, corner_y = (left + right - side) / 2, (top + bottom - side) / 2
    ends = np.array([-corner_x, -corner_y, width - corner_x, height - corner_y], np.float32)
    return np.asarray(np.clip(ends / max(side, 1e-6), 0, 1), np.float32)
