"""LFW in its official layout: PERSON/PERSON_0001.jpg, with a list of each gender next to it.

G. Huang, M. Ramesh, T. Berg, E. Learned-Miller: "Labeled Faces in the Wild", UMass 07-49. The
lists female_names.txt and male_names.txt (M. Afifi, A. Abdelhamed, arXiv:1706.04277) name
pictures; a line that names a person applies to all of their pictures.
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
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import Sample, is_held_out

LAYOUT = "LFW: PERSON/PERSON_0001.jpg, with female_names.txt and male_names.txt next to it"
_NAME = "lfw"
_LISTS = {"female": "female_names.txt", "male": "male_names.txt"}
_FOLDERS_CHECKED = 20  # to recognise the layout


def open_lfw(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open a folder of people's folders; the lists are in it or next to it."""
    if not any(_is_person(place.child(name)) for name in place.folders[:_FOLDERS_CHECKED]):
        return []
    people = tuple(name for name in place.folders if _is_person(place.child(name)))
    lists = tuple(filter(None, (_find_list(place.path, file) for file in _LISTS.values())))
    return [
        DataSet(
            _NAME, _NAME, place.path, None, lambda: _read(place, people, skipped),
            own_folders=frozenset(people),
            extra_files=lists,
        )
    ]  # fmt: skip


def _is_person(place: Place) -> bool:
    return any(_is_of_person(place, name) for name in place.pictures())


def _is_of_person(person: Place, name: str) -> bool:
    return re.fullmatch(rf"{re.escape(person.path.name)}_\d{{4}}\.jpe?g", name) is not None


def _read(place: Place, people: tuple[str, ...], skipped: Skipped) -> Iterator[Sample]:
    listed = {gender: _names_in_list(place.path, file) for gender, file in _LISTS.items()}
    for folder in people:
        person = place.child(folder)
        # By person, so that all of their pictures are on the same side of the split.
        held_out = is_held_out(f"{_NAME}/{folder}", HELD_OUT_SHARE)
        for name in person.pictures():
            if not _is_of_person(person, name):
                skipped[f"{_NAME} malformed name"] += 1
                continue
            stem = Path(name).stem
            genders = [one for one, names in listed.items() if {stem, folder} & names]
            if len(genders) != 1:
                skipped[f"{_NAME} gender in {'both lists' if genders else 'no list'}"] += 1
                continue
            labels = Labels(_NAME, skipped)
            labels.add("gender", genders[0])
            image = read_picture(person.path, name, _NAME, skipped)
            sample = labels.sample(image, held_out=held_out, group=folder)
            if sample is not None:
                yield sample


def _names_in_list(root: Path, file: str) -> frozenset[str]:
    path = _find_list(root, file)
    if path is None:
        return frozenset()
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return frozenset(Path(line.strip()).stem for line in lines if line.strip())


def _find_list(root: Path, file: str) -> Path | None:
    paths = (folder / file for folder in (root, root.resolve().parent))
    return next((path for path in paths if path.is_file()), None)
