"""Recognises the layouts of data sets in a folder, and opens them."""

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

_MAX_DEPTH = 3  # of folders that are searched
_MAX_NAMES_LISTED = 5

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
"""Description of a layout -> function that opens a file or folder, or returns nothing."""


_DETECTION_LAYOUTS: Mapping[str, _DetectionOpener] = MappingProxyType(
    {
        wider_faces.LAYOUT: wider_faces.open_wider_faces,
        wider_faces.PACK_LAYOUT: wider_faces.open_detection_pack,
    }
)


def open_data(path: Path, *, labels: LabelChoice = "ferplus", skipped: Skipped) -> list[DataSet]:
    """Open the data sets of labelled faces at `path`, in the order of their paths.

    Pictures are not read before a data set is iterated.

    Args:
        path: a file or folder of a known layout, or a folder that holds several of them, up to
            three folders deep.
        labels: which ones to use from a data set that has both; it is named after them.
        skipped: counts what is left out by reason, now and while samples are read.

    Raises:
        DataLayoutError: there is no known layout at `path`; lists the known ones.
    """

    def openers(place: Place) -> Iterator[list[DataSet]]:
        return (opener(place, labels, skipped) for opener in _LAYOUTS.values())

    before = Counter(skipped)
    found = list(_search(_existing(path), openers))
    if not found:
        raise DataLayoutError(_not_found(path, "labelled faces", _LAYOUTS, skipped - before))
    return _with_unique_names(found, skipped)


def open_detection_data(path: Path, *, skipped: Skipped) -> list[DetectionSet]:
    """Open the data sets of pictures with annotated faces at `path`, like `open_data`.

    Raises:
        DataLayoutError: there is no known layout at `path`.
    """

    def openers(place: Place) -> Iterator[list[DetectionSet]]:
        return (opener(place, skipped) for opener in _DETECTION_LAYOUTS.values())

    before = Counter(skipped)
    found = list(_search(_existing(path), openers))
    if not found:
        raise DataLayoutError(
            _not_found(path, "annotated pictures", _DETECTION_LAYOUTS, skipped - before)
        )
    return _with_unique_names(found, skipped)


def _existing(path: Path) -> Place:
    if not path.exists():
        raise DataLayoutError(f"There is no {path}: choose a folder or file of labelled pictures.")
    return Place.of(path)


def _search(
    place: Place, openers: Callable[[Place], Iterator[list[_Set]]], depth: int = 0
) -> Iterator[_Set]:
    sets = [one for sets in openers(place) for one in sets]
    yield from sets
    for name in place.files:
        if not is_picture(name):
            yield from _search(Place(place.path / name), openers)
    if depth < _MAX_DEPTH:
        taken = frozenset(name for one in sets for name in one.own_folders)
        for name in place.folders:
            if name not in taken:
                yield from _search(place.child(name), openers, depth + 1)


def _with_unique_names(found: list[_Set], skipped: Skipped) -> list[_Set]:
    """Resolve equal names: packs get the name of their file, other sets are skipped and counted."""
    index_of: dict[str, int] = {}
    # Packs whose file has the name of the data set come first, so that they keep it.
    for index in sorted(range(len(found)), key=lambda at: found[at].path.stem != found[at].name):
        one = found[index]
        first = found[index_of[one.name]] if one.name in index_of else None
        if first is None:
            index_of[one.name] = index
        elif one.layout == "parquet" and one.path.stem not in index_of:
            index_of[one.path.stem] = index
        elif one.path != first.path:
            skipped[f"{one.name} again in {one.path} (read from {first.path})"] += 1
    return [
        replace(found[index], name=name)
        for name, index in sorted(index_of.items(), key=lambda pair: pair[1])
    ]


def _not_found(
    path: Path, content: str, layouts: Mapping[str, object], skipped: Mapping[str, int]
) -> str:
    place = Place.of(path)
    names = [*(f"{name}/" for name in place.folders), *place.files]
    listed = ", ".join(names[:_MAX_NAMES_LISTED])
    listed = listed or ("an empty folder" if path.is_dir() else path.name)
    if len(names) > _MAX_NAMES_LISTED:
        listed += f" and {len(names) - _MAX_NAMES_LISTED} more"
    reasons = f" ({'; '.join(skipped)})" if skipped else ""
    return (
        f"{path} holds no {content} in a known layout. Known layouts: {'; '.join(layouts)}. "
        f"Found: {listed}{reasons}."
    )
