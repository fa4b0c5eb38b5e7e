"""FER2013 in its official file fer2013.csv, and FER+ in fer2013new.csv next to it.

I. Goodfellow et al.: "Challenges in Representation Learning", ICONIP 2013. E. Barsoum et al.:
"Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution",
ICMI 2016: the votes of ten annotators for the same pictures, in the same rows.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import (
    Labels,
    single_winner,
    valid_votes,
)
from faces_jobs_models.training.readers.places import Place
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import held_out_by_usage

LAYOUT = "FER2013: fer2013.csv (emotion,pixels,Usage), with fer2013new.csv next to it for FER+"
_FACES = "fer2013.csv"
_VOTES = "fer2013new.csv"
_EXPRESSIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # by number
_VOTE_COLUMNS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "NF",
)  # fmt: skip
_SIDE = 48  # pixels

_Row = dict[str, str]


def open_fer2013(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:
    """Open the pictures with the chosen labels, or with those of FER2013 if there are no votes."""
    path = place.path
    if path.is_dir() or path.name not in (_FACES, _VOTES):
        return []
    faces, votes = path.with_name(_FACES), path.with_name(_VOTES)
    if not faces.is_file():
        skipped[f"{_VOTES} needs {_FACES} next to it, which holds the pictures"] += 1
        return []
    name = labels if votes.is_file() else "fer2013"
    if name == "fer2013":
        return [DataSet(name, "fer2013", faces, None, lambda: _read_faces(faces, skipped))]
    return [
        DataSet(
            name, "fer2013", faces, None, lambda: _read_votes(faces, votes, skipped),
            extra_files=(votes,),
        )
    ]  # fmt: skip


def _read_faces(faces: Path, skipped: Skipped) -> Iterator[Sample]:
    for number, row in enumerate(_rows(faces, ("emotion", "pixels", "Usage")), start=2):
        image = _picture(row["pixels"], "fer2013", skipped)
        if image is None:
            continue
        labels = Labels("fer2013", skipped)
        code = row["emotion"].strip()
        is_known = code.isdecimal() and int(code) < len(_EXPRESSIONS)
        labels.add("expression", _EXPRESSIONS[int(code)] if is_known else code)
        held_out = held_out_by_usage(row["Usage"])
        sample = labels.sample(image, held_out=held_out, group=f"row {number}", size_px=_SIDE)
        if sample is not None:
            yield sample


def _read_votes(faces: Path, votes: Path, skipped: Skipped) -> Iterator[Sample]:
    rows = zip_longest(_rows(faces, ("pixels", "Usage")), _rows(votes, ("Usage", *_VOTE_COLUMNS)))
    for number, (face, voted) in enumerate(rows, start=2):
        if face is None or voted is None or face["Usage"].strip() != voted["Usage"].strip():
            raise DataLayoutError(
                f"Row {number} of {faces} and of {votes} differ in their picture: both files must "
                "have the same rows in the same order, with equal Usage."
            )
        counts = valid_votes({column: voted[column] for column in _VOTE_COLUMNS})
        if counts is None:
            skipped["ferplus row with invalid votes"] += 1
            continue
        image = _picture(face["pixels"], "ferplus", skipped)
        if image is None:
            continue
        labels = Labels("ferplus", skipped)
        labels.add_votes(counts, single_winner(counts))
        held_out = held_out_by_usage(face["Usage"])
        sample = labels.sample(image, held_out=held_out, group=f"row {number}", size_px=_SIDE)
        if sample is not None:
            yield sample


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    csv.field_size_limit(min(sys.maxsize, 2**24))
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, restval="", skipinitialspace=True)
        try:
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise DataLayoutError(f"{path} has no column {', '.join(missing)}.")
            yield from reader
        except csv.Error as error:
            raise DataLayoutError(f"{path}, line {reader.line_num}: {error}.") from error


def _picture(pixels: str, source: str, skipped: Skipped) -> bytes | None:
    """Encode the pixels of a row, 48 x 48 gray values, as PNG."""
    try:
        values = np.array(pixels.split(), np.int64)
    except (ValueError, OverflowError):
        values = np.empty(0, np.int64)
    if values.size != _SIDE**2 or values.min() < 0 or values.max() > 255:
        skipped[f"{source} row without {_SIDE} x {_SIDE} pixels"] += 1
        return None
    _, encoded = cv2.imencode(".png", values.astype(np.uint8).reshape(_SIDE, _SIDE))
    return encoded.tobytes()
