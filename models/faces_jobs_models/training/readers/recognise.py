"""Opens data by looking at what lies there: which layout it is, and what it is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from faces_jobs.errors import DataLayoutError
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers import (
    ckplus,
    facemask,
    fer2013,
    imdb_wiki,
    imfdb,
    jaffe,
    lfw,
    parquet_pack,
    utkface,
    wider_faces,
)
from faces_jobs_models.training.readers.data_set import (
    DataSet,
    DetectionSet,
    Skipped,
)
from faces_jobs_models.training.readers.places import Place, is_picture

_DEEPEST = 3  # folders below the given one that are searched
_NAMES_TOLD = 5

_Opener = Callable[[Place, LabelChoice, Skipped], list[DataSet]]
_DetectionOpener = Callable[[Place, Skipped], list[DetectionSet]]
_Set = TypeVar("_Set", DataSet, DetectionSet)

_LAYOUTS: Mapping[str, _Opener] = MappingProxyType(
    {
        parquet_pack.LAYOUT: parquet_pack.open_pack,
        imdb_wiki.LAYOUT: imdb_wiki.open_imdb_wiki,
        fer2013.LAYOUT: fer2013.open_fer2013,
        imfdb.LAYOUT: imfdb.open_imfdb,
        jaffe.LAYOUT: jaffe.open_jaffe,
        ckplus.LAYOUT: ckplus.open_ckplus,
        utkface.LAYOUT: utkface.open_utkface,
        lfw.LAYOUT: lfw.open_lfw,
        facemask.LAYOUT: facemask.open_facemask,
    }
)
"""What tells a layout -> what opens a file or folder of it, or finds that it is none."""


_DETECTION_LAYOUTS: Mapping[str, _DetectionOpener] = MappingProxyType(
    {
        wider_faces.LAYOUT: wider_faces.open_wider_faces,
        wider_faces.PACK_LAYOUT: wider_faces.open_detection_pack,
    }
)


def open_data(path: Path, *, labels: LabelChoice = "ferplus", skipped: Skipped) -> list[DataSet]:
    """The sets of labelled faces at `path`, in order of their place.

    Nothing is read before a set is iterated.

    Args:
        path: a file or folder of a known layout, or a folder that holds several of them, up to
            three folders deep.
        labels: which to use where a set has both; the set is named after them.
        skipped: counts, now and while samples are read, what was left out and why.

    Raises:
        DataLayoutError: nothing there is in a known layout; says what was looked for.
    """

    def openers(place: Place) -> Iterator[list[DataSet]]:
        return (opener(place, labels, skipped) for opener in _LAYOUTS.values())

    before = Counter(skipped)
    found = list(_search(_existing(path), openers))
    if not found:
        raise DataLayoutError(_nothing(path, "labelled faces", _LAYOUTS, skipped - before))
    return _named_apart(found, skipped)


def open_detection_data(path: Path, *, skipped: Skipped) -> list[DetectionSet]:
    """The sets of pictures with marked faces at `path`, found like those of `open_data`.

    Raises:
        DataLayoutError: there is none.
    """

    def openers(place: Place) -> Iterator[list[DetectionSet]]:
        return (opener(place, skipped) for opener in _DETECTION_LAYOUTS.values())

    before = Counter(skipped)
    found = list(_search(_existing(path), openers))
    if not found:
        noticed = skipped - before
        raise DataLayoutError(
            _nothing(path, "pictures with marked faces", _DETECTION_LAYOUTS, noticed)
        )
    return _named_apart(found, skipped)


def _existing(path: Path) -> Place:
    if not path.exists():
        raise DataLayoutError(f"There is no {path}: give a folder or file of labelled pictures.")
    return Place.of(path)


def _search(
    place: Place, openers: Callable[[Place], Iterator[list[_Set]]], depth: int = 0
) -> Iterator[_Set]:
    sets = [one for sets in openers(place) for one in sets]
    yield from sets
    for name in place.files:
        if not is_picture(name):
            yield from _search(Place(place.path / name), openers)
    if depth < _DEEPEST:
        taken = frozenset(name for one in sets for name in one.own_folders)
        for name in place.folders:
            if name not in taken:
                yield from _search(place.child(name), openers, depth + 1)


def _named_apart(found: list[_Set], skipped: Skipped) -> list[_Set]:
    """Two sets of one name: packs take their file's, others are left out and counted."""
    named: dict[str, int] = {}
    # The pack that is called like the set keeps the name.
    for at in sorted(range(len(found)), key=lambda at: found[at].path.stem != found[at].name):
        one = found[at]
        first = found[named[one.name]] if one.name in named else None
        if first is None:
            named[one.name] = at
        elif one.layout == "parquet" and one.path.stem not in named:
            named[one.path.stem] = at
        elif one.path != first.path:
            skipped[f"{one.name} again in {one.path} (read from {first.path})"] += 1
    return [
        replace(found[at], name=name)
        for name, at in sorted(named.items(), key=lambda pair: pair[1])
    ]


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
        f"{path} holds no {what} in a known layout. Looked for: {'; '.join(layouts)}. "
        f"Found: {there}{told}."
    )
