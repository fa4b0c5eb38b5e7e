"""Parquet packs: encoded pictures with labels, one per row, recognised by their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels, single_winner, valid_votes
from faces_jobs_models.training.readers.parquet_rows import (
    encoded_picture,
    iter_rows,
    read_header,
)
from faces_jobs_models.training.readers.places import Place
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import (
    actor_held_out,
    held_out_by_usage,
    picture_held_out,
    picture_key,
    subject_held_out,
)

LAYOUT = "*.parquet with a column image and labels (gender, age, expression, votes_*, mask, ...)"
SUFFIX = ".parquet"

_VOTES = tuple(f"votes_{label}" for label in HEADS["expression"])
_OTHER_VOTES = ("votes_contempt", "votes_unknown", "votes_nf")
_PLAIN_HEADS = ("gender", "illumination", "pose", "occlusion", "makeup")
_LABELS = frozenset(
    {*_PLAIN_HEADS, *_VOTES, "age", "expression", "ferplus_majority", "fer2013_label", "mask"}
)
_OTHER_COLUMNS = frozenset(
    {*_OTHER_VOTES, "path", "usage", "actor", "subject", "race", "width", "height"}
)


@dataclass(frozen=True, slots=True)
class _Known:
    """Columns by which a known data set is recognised."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()


_KNOWN: Mapping[str, _Known] = MappingProxyType(
    {
        "imfdb": _Known(
            frozenset({"image", "path", "actor", "age", *_PLAIN_HEADS}),
            frozenset({"movie", "width", "height", "expression"}),
        ),
        "utkface": _Known(frozenset({"image", "path", "age", "gender", "race"})),
        "ferplus": _Known(
            frozenset({"image", "path", "usage", *_VOTES, *_OTHER_VOTES}),
            frozenset({"ferplus_majority", "fer2013_label"}),
        ),
        "ckplus48": _Known(frozenset({"image", "path", "subject", "expression"})),
        "facemask": _Known(frozenset({"image", "path", "mask"})),
    }
)

# Height of the faces in the original pictures, in pixels, if the same for all.
_SIZES: Mapping[str, int] = MappingProxyType({"ferplus": 48, "fer2013": 48})


@dataclass(frozen=True, slots=True)
class _Pack:
    name: str
    known: str | None  # the known data set with these columns
    columns: frozenset[str]  # those that are read
    labels: LabelChoice


def open_pack(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:
    """Open a parquet file; return nothing if it is not one, or has no known label.

    A pack with the columns of a known data set gets its name, any other the file's.
    """
    path = place.path
    if path.suffix.lower() != SUFFIX or not path.is_file():
        return []
    head = read_header(path, skipped)
    if head is None:
        return []
    columns, n = head
    if "boxes_xywh" in columns:
        return []  # a detection data set
    if "image" not in columns or not columns & _LABELS:
        skipped[f"{path.name} has no column image, or none with a known label"] += 1
        return []
    known = next(
        (
            name
            for name, one in _KNOWN.items()
            if one.required <= columns <= one.required | one.optional
        ),
        None,
    )
    chosen = _chosen_labels(columns, labels)
    name = known or path.stem
    if chosen == "fer2013" and known == "ferplus":
        name = chosen
    elif chosen == "fer2013" and "fer2013_label" in columns and known is None:
        # The same file with other labels is another data set, with crops of its own.
        name = f"{path.stem}-{chosen}" if columns & _ferplus_columns() else path.stem
    pack = _Pack(name, known, columns & (_LABELS | _OTHER_COLUMNS | {"image"}), chosen)
    return [DataSet(name, "parquet", path, n, lambda: _read(path, pack, skipped))]


def _ferplus_columns() -> frozenset[str]:
    return frozenset({*_VOTES, "ferplus_majority"})


def _chosen_labels(columns: frozenset[str], labels: LabelChoice) -> LabelChoice:
    if "fer2013_label" not in columns:
        return "ferplus"
    if not set(_VOTES) <= columns and "ferplus_majority" not in columns:
        return "fer2013"
    return labels


def _read(path: Path, pack: _Pack, skipped: Skipped) -> Iterator[Sample]:
    rows = iter_rows(path, pack.columns)
    for number, row in enumerate(rows, start=1):
        image = encoded_picture(row["image"])
        if image is None:
            skipped[f"{pack.name} row without a picture"] += 1
            continue
        sample = _sample(row, image, number, pack, skipped)
        if sample is not None:
            yield sample


def _sample(
    row: Mapping[str, Any], image: bytes, number: int, pack: _Pack, skipped: Skipped
) -> Sample | None:
    labels = Labels(pack.name, skipped)
    for head in _PLAIN_HEADS:
        if head in row:
            labels.add(head, row[head])
    if "age" in row:
        labels.add_age(row["age"])
    if "race" in row:
        labels.add_race(row["race"])
    if "mask" in row and row.get("occlusion") is None:
        labels.add_mask(row["mask"])
    _add_expression(labels, row, pack)
    return labels.sample(
        image,
        held_out=_held_out(row, number, pack),
        group=_group(row, number, pack),
        size_px=_size(row, pack),
    )


def _add_expression(labels: Labels, row: Mapping[str, Any], pack: _Pack) -> None:
    if pack.labels == "fer2013":
        labels.add("expression", row["fer2013_label"])
    elif set(_VOTES) <= row.keys():
        columns = (*_VOTES, *_OTHER_VOTES)
        votes = valid_votes({name.removeprefix("votes_"): row.get(name) for name in columns})
        if votes is None:
            labels.count("row with invalid votes")
        else:
            has_majority = "ferplus_majority" in row
            labels.add_votes(
                votes, row["ferplus_majority"] if has_majority else single_winner(votes)
            )
    elif "ferplus_majority" in row:
        labels.add("expression", row["ferplus_majority"])
    elif "expression" in row and pack.known != "imfdb":  # IMFDB's are too noisy to learn from
        labels.add("expression", row["expression"])


def _held_out(row: Mapping[str, Any], number: int, pack: _Pack) -> bool:
    if row.get("usage") is not None:
        return held_out_by_usage(str(row["usage"]))
    if row.get("actor") is not None:
        return actor_held_out(str(row["actor"]))
    if row.get("subject") is not None:
        return subject_held_out("ckplus", str(row["subject"]))
    return picture_held_out(pack.name, _key(row, number))


def _group(row: Mapping[str, Any], number: int, pack: _Pack) -> str:
    for column in ("actor", "subject"):
        if row.get(column) is not None:
            return str(row[column])
    return picture_key(pack.name, _key(row, number))


def _key(row: Mapping[str, Any], number: int) -> str:
    path = row.get("path")
    return str(number if path is None else path)


def _size(row: Mapping[str, Any], pack: _Pack) -> int | None:
    if pack.known == "imfdb" and isinstance(row.get("height"), int):
        return int(row["height"])
    return _SIZES.get(pack.name)
