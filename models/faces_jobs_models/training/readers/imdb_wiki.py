"""IMDB-WIKI in its official layout: imdb.mat or wiki.mat next to the folders of crops.

R. Rothe, R. Timofte, L. Van Gool: "Deep expectation of real and apparent age from a single image
without facial landmarks", IJCV 2018. Pictures in which the authors' detector found no face, or
several, are left out: it is unknown which face the age belongs to.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import (
    HELD_OUT_SHARE,
    DataSet,
    Skipped,
)
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import Sample, is_held_out

LAYOUT = "IMDB-WIKI: imdb.mat or wiki.mat next to the folders 00, 01, ..."
_FIELDS = ("dob", "photo_taken", "full_path", "gender", "face_score", "second_face_score")
_CROP_FOLDER = re.compile(r"\d\d")
_GENDERS = {0.0: "female", 1.0: "male"}
_MAX_AGE = 100
_MATLAB_EPOCH_DAYS = 366  # MATLAB counts days from the year 0, Python from the year 1


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """The columns of the file, one entry per picture."""

    born: NDArray[np.float64]  # MATLAB serial dates
    taken: NDArray[np.float64]  # years
    paths: list[str]
    genders: NDArray[np.float64]
    scores: NDArray[np.float64]
    second_scores: NDArray[np.float64]
    people: list[str]


def open_imdb_wiki(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open both sets, or the one that exists."""
    path = place.path
    files = [path] if not path.is_dir() else [path / name for name in place.files]
    crops = frozenset(name for name in place.folders if _CROP_FOLDER.fullmatch(name))
    return [
        _data_set(file, crops, skipped) for file in files if file.name in ("imdb.mat", "wiki.mat")
    ]


def _data_set(path: Path, crops: frozenset[str], skipped: Skipped) -> DataSet:
    return DataSet(
        path.stem, path.stem, path, None, lambda: _read(path, skipped), own_folders=crops
    )


def _read(path: Path, skipped: Skipped) -> Iterator[Sample]:
    name = path.stem
    table = _load(path)
    for row, relative in enumerate(table.paths):
        if not math.isfinite(table.scores[row]):
            skipped[f"{name} no face"] += 1
            continue
        if not math.isnan(table.second_scores[row]):
            skipped[f"{name} several faces"] += 1
            continue
        years = age_at(table.born[row], table.taken[row])
        if years is None:
            skipped[f"{name} bad date"] += 1
            continue
        if not 0 <= years <= _MAX_AGE:
            skipped[f"{name} age outside 0..{_MAX_AGE}"] += 1
            continue
        image = read_picture(path.parent, relative, name, skipped)
        if image is None:
            continue
        labels = Labels(name, skipped)
        labels.add_age(years)
        gender = float(table.genders[row])
        if gender in _GENDERS:
            labels.add("gender", _GENDERS[gender])
        else:
            labels.count_unknown("gender", gender)
        person = table.people[row] or relative
        held_out = is_held_out(f"{name}/{person}", HELD_OUT_SHARE)
        sample = labels.sample(image, held_out=held_out, group=person)
        if sample is not None:
            yield sample


def age_at(born: float, taken: float) -> int | None:
    """Return the age in the middle of the year `taken`, or None if one of both is not a date.

    Args:
        born: MATLAB serial date.
        taken: year. Its day is not known, so that the age may be off by half a year.
    """
    if not (math.isfinite(born) and math.isfinite(taken)):
        return None
    day = int(born) - _MATLAB_EPOCH_DAYS
    if not date.min.toordinal() <= day <= date.max.toordinal() or not 1 <= taken <= date.max.year:
        return None
    birth = date.fromordinal(day)
    return int(taken) - birth.year - ((birth.month, birth.day) > (7, 1))


def _load(path: Path) -> _Table:
    try:
        struct = scipy.io.loadmat(path, variable_names=[path.stem])[path.stem][0, 0]
        columns = {field: struct[field].ravel() for field in _FIELDS}
        numbers = {
            field: column.astype(np.float64)
            for field, column in columns.items()
            if field != "full_path"
        }
    except (OSError, zlib.error) as error:
        raise DataLayoutError(f"{path} is damaged: download it again ({error}).") from error
    except (
        MatReadError,
        NotImplementedError,
        KeyError,
        IndexError,
        ValueError,
        TypeError,
    ) as error:
        raise DataLayoutError(
            f"{path} is not a MATLAB file (version 5) with a struct {path.stem} of the fields "
            f"{', '.join(_FIELDS)}: {error}."
        ) from error
    paths = [_text(one) for one in columns["full_path"]]
    short = [field for field, column in columns.items() if len(column) != len(paths)]
    if short:
        raise DataLayoutError(f"{path}: {', '.join(short)} and full_path differ in length.")
    return _Table(
        born=numbers["dob"],
        taken=numbers["photo_taken"],
        paths=paths,
        genders=numbers["gender"],
        scores=numbers["face_score"],
        second_scores=numbers["second_face_score"],
        people=_people(struct, len(paths)),
    )


def _people(struct: Any, rows: int) -> list[str]:
    """Return the person in each picture: celeb_id (IMDB) or the name; empty where unknown."""
    for field in ("celeb_id", "name"):
        if field in (struct.dtype.names or ()):
            people = [_text(one) for one in struct[field].ravel()]
            if len(people) == rows:
                return people
    return [""] * rows


def _text(value: Any) -> str:
    """Convert a MATLAB cell to text; empty and NaN cells to an empty string."""
    while isinstance(value, np.ndarray):
        if not value.size:
            return ""
        value = value.ravel()[0]
    if isinstance(value, float | np.floating) and math.isnan(value):
        return ""
    return str(value).strip()
