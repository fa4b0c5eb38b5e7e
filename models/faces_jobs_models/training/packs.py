"""Readers of the parquet packs: encoded pictures with labels, one file a data set."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.samples import UNKNOWN, Sample, certain, is_held_out

HELD_OUT_SHARE = 0.15
AGE_BANDS = (13, 36, 60)  # first year of young, middle and old
_ROWS_AT_ONCE = 1024

# Of 77 actors few wear a beard or heavy makeup. This salt, the best of 3,000 tried before any
# training, holds out 13 actors who show every label (but "child", which one actor has).
_IMFDB_SALT = 2724

Skipped = Counter[str]
"""Why rows gave no sample, and how many."""

Reader = Callable[[Mapping[str, Any], Skipped], Sample | None]


def read_imfdb(row: Mapping[str, Any], skipped: Skipped) -> Sample | None:
    """IMFDB: film frames, split by actor. Its expressions are too noisy to learn from."""
    targets: dict[str, NDArray[np.float32]] = {}
    truth: dict[str, int] = {}
    for head in ("gender", "illumination", "pose", "occlusion", "age", "makeup"):
        label = row[head]
        if label not in HEADS[head]:
            skipped[f"imfdb {head} {label!r}"] += 1
            continue
        target, index = certain(head, label)
        targets |= target
        truth |= index
    held_out = is_held_out(f"imfdb/{_IMFDB_SALT}/{row['actor']}", HELD_OUT_SHARE)
    return Sample(image=row["image"], held_out=held_out, targets=targets, truth=truth)


def read_utkface(row: Mapping[str, Any], skipped: Skipped) -> Sample | None:
    """UTKFace: gender, and age in years that is banded. Split by hash of the path."""
    if row["gender"] not in HEADS["gender"]:
        skipped[f"utkface gender {row['gender']!r}"] += 1
        return None
    targets, truth = certain("gender", row["gender"])
    targets["age"] = soft_age_band(row["age"])
    truth["age"] = age_band(row["age"])
    held_out = is_held_out(f"utkface/{row['path']}", HELD_OUT_SHARE)
    return Sample(image=row["image"], held_out=held_out, targets=targets, truth=truth)


def read_ferplus(row: Mapping[str, Any], skipped: Skipped) -> Sample | None:
    """FER+: the votes of ten people as a distribution; held out is its own PublicTest.

    Votes for contempt, unknown and "not a face" are dropped; a picture of which half or more
    was dropped teaches nothing. Its truth is the majority, where that is one of the seven.
    """
    labels = HEADS["expression"]
    votes = np.array([row[f"votes_{label}"] for label in labels], np.float32)
    dropped = row["votes_contempt"] + row["votes_unknown"] + row["votes_nf"]
    if votes.sum() <= dropped:
        skipped["ferplus without a clear expression"] += 1
        return None
    majority = row["ferplus_majority"]
    return Sample(
        image=row["image"],
        held_out=row["usage"] != "Training",
        targets={"expression": votes / votes.sum()},
        truth={"expression": labels.index(majority) if majority in labels else UNKNOWN},
    )


def read_ckplus(row: Mapping[str, Any], skipped: Skipped) -> Sample | None:
    """CK+: posed expressions, split by subject."""
    if row["expression"] not in HEADS["expression"]:
        skipped[f"ckplus48 expression {row['expression']!r}"] += 1
        return None
    targets, truth = certain("expression", row["expression"])
    held_out = is_held_out(f"ckplus/{row['subject']}", HELD_OUT_SHARE)
    return Sample(image=row["image"], held_out=held_out, targets=targets, truth=truth)


def read_facemask(row: Mapping[str, Any], skipped: Skipped) -> Sample | None:  # noqa: ARG001 - one signature for all readers
    """Faces with and without a mask: occlusion `others` and `none`. Split by hash of the path."""
    targets, truth = certain("occlusion", "others" if row["mask"] else "none")
    if not row["mask"]:
        truth = {}  # without a mask, not without glasses or a beard: to learn from, not to measure
    held_out = is_held_out(f"facemask/{row['path']}", HELD_OUT_SHARE)
    return Sample(image=row["image"], held_out=held_out, targets=targets, truth=truth)


PACKS: Mapping[str, Reader] = MappingProxyType(
    {
        "imfdb": read_imfdb,
        "utkface": read_utkface,
        "ferplus": read_ferplus,
        "ckplus48": read_ckplus,
        "facemask": read_facemask,
    }
)
"""Data set -> reader of one row. The file is `<data set>.parquet`."""


def read_pack(folder: Path, name: str, skipped: Skipped) -> Iterator[Sample]:
    """The samples of one pack, in the order of its rows.

    Args:
        folder: holds `<name>.parquet`.
        name: a key of `PACKS`.
        skipped: counts what could not be used, by reason.

    Raises:
        ModelError: the file is missing or has other columns.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise ModelError(f"There is no data set {name}: looked for {path}.")
    reader = PACKS[name]
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE):
            for row in batch.to_pylist():
                try:
                    sample = reader(row, skipped)
                except KeyError as error:
                    raise ModelError(f"{path} has no column {error}.") from error
                if sample is not None:
                    yield sample


def age_band(years: float) -> int:
    """Index of the band in the labels of the head `age`."""
    return sum(years >= first for first in AGE_BANDS)


def soft_age_band(years: float) -> NDArray[np.float32]:
    """How likely each band is, given that nobody sees an age to the year.

    The doubt grows with age: half a year for babies, about six years at sixty.
    """
    doubt = 0.5 + 0.09 * years
    below = [
        0.5 * (1 + math.erf((first - 0.5 - years) / (doubt * math.sqrt(2)))) for first in AGE_BANDS
    ]
    return np.diff(np.array([0.0, *below, 1.0])).astype(np.float32)
