"""Face masks: pictures in the folders with_mask and without_mask."""

from __future__ import annotations

from collections.abc import Iterator

from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers.data_set import DataSet, Skipped
from faces_jobs_models.training.readers.labels import Labels
from faces_jobs_models.training.readers.places import Place, pictures_below, read_picture
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.readers.splits import picture_held_out

LAYOUT = "face masks: folders with_mask and without_mask"
_NAME = "facemask"
_MASKED = {"with_mask": True, "without_mask": False}


def open_facemask(place: Place, labels: LabelChoice, skipped: Skipped) -> list[DataSet]:  # noqa: ARG001 - one signature for all layouts
    """Open a folder that holds both."""
    if not _MASKED.keys() <= frozenset(place.folders):
        return []
    return [
        DataSet(
            _NAME, _NAME, place.path, None, lambda: _read(place, skipped),
            own_folders=frozenset(_MASKED),
        )
    ]  # fmt: skip


def _read(place: Place, skipped: Skipped) -> Iterator[Sample]:
    for folder, masked in _MASKED.items():
        for name in pictures_below(place.path / folder):
            path = f"{folder}/{name}"
            labels = Labels(_NAME, skipped)
            labels.add_mask(masked)
            held_out = picture_held_out(_NAME, path)
            image = read_picture(place.path, path, _NAME, skipped)
            sample = labels.sample(image, held_out=held_out, group=path)
            if sample is not None:
                yield sample
