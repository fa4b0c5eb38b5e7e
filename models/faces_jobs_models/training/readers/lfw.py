"""LFW in its official layout: PERSON/PERSON_0001.jpg, with lists of the two genders beside.

G. Huang, M. Ramesh, T. Berg, E. Learned-Miller: "Labeled Faces in the Wild", UMass 07-49. The
lists female_names.txt and male_names.txt (M. Afifi, A. Abdelhamed, arXiv:1706.04277) name
pictures; a line that names a person stands for all of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import (
    HELD_OUT_SHARE,
    DataSet,
    Skipped,
)
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place
from faces_jobs_models.training.samples import Sample, is_held_out

LAYOUT = "LFW: PERSON/PERSON_0001.jpg, with female_names.txt and male_names.txt beside"
_NAME = "lfw"
_LISTS = {"female": "female_names.txt", "male": "male_names.txt"}
_LOOKED_AT = 20  # folders, to tell the layout


def open_lfw(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """A folder of people's folders; the lists lie in it or beside it."""
    if not any(_is_person(place.child(name)) for name in place.folders[:_LOOKED_AT]):
        return []
    people = tuple(name for name in place.folders if _is_person(place.child(name)))
    return [
        DataSet(
            _NAME, _NAME, place.path, None, lambda: _read(place, people, skipped),
            own_folders=frozenset(people),
            extra_files=tuple(filter(None, (_list(place.path, file) for file in _LISTS.values()))),
        )
    ]  # fmt: skip


def _is_person(place: Place) -> bool:
    return any(_named(place, name) for name in place.pictures())


def _named(person: Place, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(person.path.name)}_\d{{4}}\.jpe?g", name) is not None


def _read(place: Place, people: tuple[str, ...], skipped: Skipped) -> Iterator[Sample]:
    listed = {gender: _listed(place.path, file) for gender, file in _LISTS.items()}
    for folder in people:
        person = place.child(folder)
        # All pictures of a person are on one side.
        held_out = is_held_out(f"{_NAME}/{folder}", HELD_OUT_SHARE)
        for name in person.pictures():
            if not _named(person, name):
                skipped[f"{_NAME} picture of another name"] += 1
                continue
            stem = Path(name).stem
            genders = [one for one, names in listed.items() if {stem, folder} & names]
            if len(genders) != 1:
                skipped[f"{_NAME} gender in {'both lists' if genders else 'no list'}"] += 1
                continue
            said = Labels(_NAME, skipped)
            said.add("gender", genders[0])
            sample = said.sample((person.path / name).read_bytes(), held_out=held_out, group=folder)
            if sample is not None:
                yield sample


def _listed(root: Path, file: str) -> frozenset[str]:
    path = _list(root, file)
    if path is None:
        return frozenset()
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(Path(line.strip()).stem for line in lines if line.strip())


def _list(root: Path, file: str) -> Path | None:
    paths = (folder / file for folder in (root, root.resolve().parent))
    return next((path for path in paths if path.is_file()), None)
