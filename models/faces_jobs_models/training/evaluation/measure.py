"""Evaluates a classifier on labelled data sets, with the files and the crops of run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.evaluation.entries import (
    Entry,
    EvaluatedModel,
    entries_of,
    weights_of,
)
from faces_jobs_models.training.evaluation.predictions import (
    Advance,
    Predictions,
    Selection,
    predict_data_set,
)
from faces_jobs_models.training.readers.samples import Sample
from faces_jobs_models.training.recipes import RECIPES
from faces_jobs_models.weights import ModelRecord

DEFAULT_VARIANT = "default"

# Data sets with the same pictures: a model trained on one was trained on the other.
_SAME_PICTURES: Mapping[str, str] = {"fer2013": "ferplus", "ckplus": "ckplus48"}


class LabelledSet(Protocol):
    """A named data set, iterated once."""

    @property
    def name(self) -> str:
        """Short name, as recipes use it."""

    def __iter__(self) -> Iterator[Sample]:
        """Iterate over its rows, always in the same order."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """The predictions for a data set, and the entries computed from them."""

    model: EvaluatedModel
    predictions: Predictions
    entries: list[Entry]


def measure(
    catalog: Catalog,
    model: str,
    data_sets: Iterable[LabelledSet],
    *,
    labels: str,
    selection: Selection,
    skipped: Counter[str],
    start_progress: Callable[[str], Advance],
) -> Iterator[Measurement]:
    """Evaluate `model` on each data set that has labels of one of its heads.

    Args:
        catalog: holds the run-time detector and the model.
        model: gender, expression or multiple.
        data_sets: to evaluate on.
        labels: selects the weights that were trained with these labels, if the model has such a
            variant (a folder of that name in its own).
        selection: which rows; `trained_on` is set here.
        skipped: counts what could not be read.
        start_progress: called with a data set's name; returns the callback for its progress.

    Raises:
        ModelError: the model's files are missing, changed or of another shape.
    """
    record, variant = _record_of_variant(catalog, model, labels)
    # With mirror images, as for the faces of still images.
    classifier = MirroredClassifier(catalog.open_classifier(record))
    detector = catalog.detector()
    evaluated = EvaluatedModel(
        name=model,
        version=record.version,
        weights=weights_of(classifier.sha256, variant),
        heads=record.heads,
        calibration=record.calibration,
    )
    trained_on = {_SAME_PICTURES.get(name, name) for name in RECIPES[model].data_sets}
    for data_set in data_sets:
        predictions = predict_data_set(
            data_set.name,
            data_set,
            classifier=classifier,
            detector=detector,
            selection=replace(
                selection,
                trained_on=_SAME_PICTURES.get(data_set.name, data_set.name) in trained_on,
            ),
            skipped=skipped,
            advance=start_progress(data_set.name),
        )
        if len(predictions):
            yield Measurement(evaluated, predictions, entries_of(evaluated, predictions))


def _record_of_variant(catalog: Catalog, model: str, labels: str) -> tuple[ModelRecord, str]:
    """Return the record of the weights for these labels, and the name of the variant.

    Raises:
        ModelError: the record is missing or invalid.
    """
    record = catalog.variant(model, labels)
    if record is not None:
        return record, labels
    return catalog.record(model), DEFAULT_VARIANT
