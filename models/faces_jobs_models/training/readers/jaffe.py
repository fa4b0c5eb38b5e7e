"""JAFFE in its official layout: pictures named SUBJECT.EXPRESSION.NUMBER.tiff.

M. Lyons, S. Akamatsu, M. Kamachi, J. Gyoba: "Coding Facial Expressions with Gabor Wavelets",
FG 1998. Ten women with seven posed expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place, read_picture
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import subject_held_out

LAYOUT = "JAFFE: pictures named like KA.AN1.39.tiff"
_NAME = "jaffe"
_FILE = re.compile(r"([A-Z]{2})\.([A-Z]{2})\d*\.\d+\.(?:tiff?|png|jpe?g|bmp)", re.IGNORECASE)
_EXPRESSIONS = {
    "AN": "anger",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happiness",
    "NE": "neutral",
    "SA": "sadness",
    "SU": "surprise",
}


def open_jaffe(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open a folder in which some pictures are named like this."""
    pictures = place.pictures()
    if not any(_FILE.fullmatch(name) for name in pictures):
        return []
    return [DataSet(_NAME, _NAME, place.path, len(pictures), lambda: _read(place, skipped))]


def _read(place: Place, skipped: Skipped) -> Iterator[Sample]:
    for name in place.pictures():
        match = _FILE.fullmatch(name)
        if match is None:
            skipped[f"{_NAME} malformed name"] += 1
            continue
        subject, code = match[1].upper(), match[2].upper()
        labels = Labels(_NAME, skipped)
        labels.add("expression", _EXPRESSIONS.get(code, code))
        image = read_picture(place.path, name, _NAME, skipped)
        held_out = subject_held_out(_NAME, subject)
        sample = labels.sample(image, held_out=held_out, group=subject)
        if sample is not None:
            yield sample
