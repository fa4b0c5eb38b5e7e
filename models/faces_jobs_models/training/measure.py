"""Measures a classifier on labelled data sets, by the files and the geometry of run time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from faces_jobs.pipeline.mirrored import Mirrored
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.entries import Entry, EvaluatedModel, entries_of, weights_of
from faces_jobs_models.training.predictions import Advance, Predictions, Selection, predict_data_set
from faces_jobs_models.training.recipes import RECIPES
from faces_jobs_models.training.samples import Sample
from faces_jobs_models.weights import ModelRecord

DEFAULT_VARIANT = "default"

# Names of the same pictures: who learnt from one has seen the other.
_SAME_PICTURES: Mapping[str, str] = {"fer2013": "ferplus", "ckplus": "ckplus48"}


class LabelledSet(Protocol):
    """A named data set; iterated once."""

    @property
    def name(self) -> str:
        """Short name, as recipes use it."""

    def __iter__(self) -> Iterator[Sample]:
        """Its rows, in an order of its own that does not change."""


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A data set's answers and the entries made of them."""

    asked: EvaluatedModel
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
    """Measure `model` on each data set that knows one of its heads.

    Args:
        catalog: holds the run-time detector and the model.
        model: gender, expression or multiple.
        data_sets: what to measure on.
        labels: where the model has weights trained with these labels (a folder of that name
            in its own), they answer.
        selection: which rows; `trained_on` is found out here.
        skipped: counts what could not be read.
        start_progress: called with a data set's name, gives what takes its progress.

    Raises:
        ModelError: the model's files are missing, changed or of another shape.
    """
    record, variant = _answering_record(catalog, model, labels)
    classifier = Mirrored(catalog.open_classifier(record))  # as a still's faces are judged
    detector = catalog.detector()
    asked = EvaluatedModel(
        name=model,
        version=record.version,
        weights=weights_of(classifier.sha256, variant),
        heads=record.heads,
        calibration=record.calibration,
    )
    learnt = {_SAME_PICTURES.get(name, name) for name in RECIPES[model].data_sets}
    for data_set in data_sets:
        predictions = predict_data_set(
            data_set.name,
            data_set,
            classifier=classifier,
            detector=detector,
            selection=replace(
                selection, trained_on=_SAME_PICTURES.get(data_set.name, data_set.name) in learnt
            ),
            skipped=skipped,
            advance=start_progress(data_set.name),
        )
        if len(predictions):
            yield Measurement(asked, predictions, entries_of(asked, predictions))


def _answering_record(catalog: Catalog, model: str, labels: str) -> tuple[ModelRecord, str]:
    """The record of the weights that answer for these labels, and the name of the variant.

    Raises:
        ModelError: it is missing or wrong.
    """
    variant = catalog.variant(model, labels)
    if variant is not None:
        return variant, labels
    return catalog.record(model), DEFAULT_VARIANT
