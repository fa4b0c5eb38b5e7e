"""Opens data by looking at what lies there: which layout it is, and what it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.readers import parquet_pack
from faces_jobs_models.training.readers.data_set import (
    DataSet,
    DetectionSet,
    LabelChoice,
    Skipped,
)
from faces_jobs_models.training.readers.places import Place

_DEEPEST = 3  # folders below the given one that are searched
_NAMES_TOLD = 5

_Opener = Callable[[Place, LabelChoice, Skipped], list[DataSet]]

_LAYOUTS: Mapping[str, _Opener] = MappingProxyType(
    {
        parquet_pack.TELLTALE: parquet_pack.open_pack,
    }
)
"""What tells a layout -> what opens a file or folder of it, or finds that it is none."""


def open_data(path: Path, *, labels: LabelChoice = "ferplus", skipped: Skipped) -> list[DataSet]:
    """The sets of labelled faces at `path`, in order of their place.

    Nothing is read before a set is iterated.

    Args:
        path: a file or folder of a known layout, or a folder that holds several of them.
        labels: which to use where a set has both; the set is named after them.
        skipped: counts, now and while samples are read, what was left out and why.

    Raises:
        DataLayoutError: nothing there is in a known layout; says what was looked for.
    """
    before = Counter(skipped)
    found = list(_search(_existing(path), labels, skipped, depth=0))
    if not found:
        raise DataLayoutError(_nothing(path, "labelled faces", _LAYOUTS, skipped - before))
    return _named_apart(found, skipped)


def open_detection_data(path: Path, *, skipped: Skipped) -> list[DetectionSet]:
    """The sets of pictures with marked faces at `path`; like `open_data`.

    Raises:
        DataLayoutError: there is none.
    """
    raise NotImplementedError


def _existing(path: Path) -> Place:
    if not path.exists():
        raise DataLayoutError(f"There is no {path}: give a folder or file of labelled pictures.")
    return Place.of(path)


def _search(
    place: Place, labels: LabelChoice, skipped: Skipped, *, depth: int
) -> Iterator[DataSet]:
    for opener in _LAYOUTS.values():
        if sets := opener(place, labels, skipped):
            yield from sets
            return
    for name in place.files:
        if depth < _DEEPEST:
            yield from _search(Place(place.path / name), labels, skipped, depth=_DEEPEST)
    for name in place.folders:
        if depth < _DEEPEST:
            yield from _search(place.inner(name), labels, skipped, depth=depth + 1)


def _named_apart(found: list[DataSet], skipped: Skipped) -> list[DataSet]:
    """Two sets of one name: packs take their file's, others are left out and counted."""
    named: dict[str, DataSet] = {}
    # The pack that is called like the set keeps the name.
    for one in sorted(found, key=lambda one: one.path.stem != one.name):
        if one.name not in named:
            named[one.name] = one
        elif one.layout == "parquet" and one.path.stem not in named:
            named[one.path.stem] = replace(one, name=one.path.stem)
        else:
            skipped[f"{one.name} again in {one.path} (read from {named[one.name].path})"] += 1
    places = {id(one.path): place for place, one in enumerate(found)}
    return sorted(named.values(), key=lambda one: places[id(one.path)])


def _nothing(
    path: Path, what: str, layouts: Mapping[str, object], noticed: Mapping[str, int]
) -> str:
    place = Place.of(path)
    names = [*(f"{name}/" for name in place.folders), *place.files]
    there = ", ".join(names[:_NAMES_TOLD]) or ("an empty folder" if path.is_dir() else path.name)
    if len(names) > _NAMES_TOLD:
        there += f" and {len(names) - _NAMES_TOLD} more"
    told = f" ({'; '.join(noticed)})" if noticed else ""
    return (
        f"No {what} in a known layout at {path}. Looked for: {'; '.join(layouts)}. "
        f"Found: {there}{told}."
    )
