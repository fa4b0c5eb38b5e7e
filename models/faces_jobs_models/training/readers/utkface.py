"""UTKFace in its official layout: pictures named AGE_GENDER_RACE_TIME.jpg.

Z. Zhang, Y. Song, H. Qi: "Age Progression/Regression by Conditional Adversarial Autoencoder",
CVPR 2017. Both the aligned form (.jpg.chip.jpg) and the one in the wild (part1 to part3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import picture_held_out, picture_key

LAYOUT = "UTKFace: pictures named like 26_1_0_20170116154530.jpg or ....jpg.chip.jpg"
_NAME = "utkface"
_FILE = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+(?:\.jpg)?(?:\.chip)?\.jpe?g", re.IGNORECASE)
_PARTS = ("part1", "part2", "part3")
_GENDERS = ("male", "female")  # by number
_PICTURES_CHECKED = 100  # to recognise the layout; three of 24,000 have malformed names


def open_utkface(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open a folder of such pictures, or one with the folders part1, part2 and part3."""
    places = [place, *(place.child(name) for name in place.folders if name in _PARTS)]
    places = [
        one for one in places if any(map(_FILE.fullmatch, one.pictures()[:_PICTURES_CHECKED]))
    ]
    if not places:
        return []
    n = sum(len(one.pictures()) for one in places)
    parts = frozenset(one.path.name for one in places if one is not place)
    return [DataSet(_NAME, _NAME, place.path, n, lambda: _read(places, skipped), own_folders=parts)]


def _read(places: list[Place], skipped: Skipped) -> Iterator[Sample]:
    for place in places:
        for name in place.pictures():
            match = _FILE.fullmatch(name)
            if match is None:
                skipped[f"{_NAME} malformed name"] += 1
                continue
            labels = Labels(_NAME, skipped)
            labels.add("gender", _GENDERS[int(match[2])])
            labels.add_age(int(match[1]))
            labels.add_race(int(match[3]))
            held_out = picture_held_out(_NAME, name)
            image = read_picture(place.path, name, _NAME, skipped)
            sample = labels.sample(image, held_out=held_out, group=picture_key(_NAME, name))
            if sample is not None:
                yield sample
