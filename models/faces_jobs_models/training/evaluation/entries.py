"""The figures of one head on one data set, in the form that `faces-jobs evaluate --json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.evaluation.cross_fit import CrossFitted, cross_fitted
from faces_jobs_models.training.evaluation.figures import figures_of, rounded
from faces_jobs_models.training.evaluation.intervals import Interval, intervals_of
from faces_jobs_models.training.evaluation.predictions import Predictions
from faces_jobs_models.training.evaluation.reliability import expected_calibration_error
from faces_jobs_models.training.evaluation.risk_coverage import at_threshold
from faces_jobs_models.training.evaluation.slices import Slice, slices_of
from faces_jobs_models.weights import Calibration

_SHA256_DIGITS = 12


class Weights(TypedDict):
    """Which weights were evaluated: the start of their SHA-256, and their variant.

    `variant` is `default` or `fer2013`, or the name of a detector.
    """

    sha256: str
    variant: str


class Entry(TypedDict):
    """Figures of one head on one data set. All shares are 0..1.

    `people` is the number of people, if several faces are of one person and that is known.
    Every prediction counts with its most likely label, even if users would see `unsure`. `ece`,
    `coverage` and `accuracy_answered` are of `calibration_n` faces, each with a temperature and a
    threshold that were fitted without its person (cross-fitting); `ece_before` is of the same faces
    without a temperature. `temperature` and `unsure_below` are those that ship.
    `of_training` counts faces that the model was trained on. `without_face` counts faces that were
    not detected, so that the whole picture was cropped; `accuracy_found` is that of the others.
    """

    model: str
    version: str
    weights: Weights
    head: str
    dataset: str
    n: int
    people: int | None
    accuracy: float
    accuracy_interval: list[float]
    balanced_accuracy: float
    balanced_interval: list[float]
    baseline: float
    per_class: dict[str, float]
    per_class_n: dict[str, int]
    per_class_interval: dict[str, list[float]]
    confusion: dict[str, dict[str, int]]
    calibration_n: int
    ece: float | None
    ece_before: float | None
    temperature: float
    unsure_below: float
    coverage: float | None
    accuracy_answered: float | None
    by: dict[str, dict[str, Slice]]
    of_training: int
    without_face: int
    accuracy_found: float | None
    skipped: dict[str, int]


def weights_of(sha256: str, variant: str) -> Weights:
    """Identify weights in an entry, by a short prefix of their SHA-256."""
    return Weights(sha256=sha256[:_SHA256_DIGITS], variant=variant)


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """The network that was evaluated, and how its heads are calibrated."""

    name: str
    version: str
    weights: Weights
    heads: Mapping[str, Sequence[str]]
    calibration: Mapping[str, Calibration]  # of every head

    def cross_fitted(self, predictions: Predictions, head: str) -> CrossFitted:
        """Calibrate each prediction with what was fitted without the person."""
        calibration = self.calibration[head]
        return cross_fitted(
            predictions.views[head],
            predictions.truth[head],
            predictions.fold,
            calibration,
            temperature=calibration.temperature,
        )


def entries_of(model: EvaluatedModel, predictions: Predictions) -> list[Entry]:
    """Return an entry for each head for which the truth of at least one face is known."""
    entries = []
    for head in model.heads:
        known = predictions.truth[head] >= 0
        if known.any():
            entries.append(_entry(model, predictions, head, known))
    return entries


def _entry(
    model: EvaluatedModel, predictions: Predictions, head: str, known: NDArray[np.bool_]
) -> Entry:
    labels = model.heads[head]
    truth = predictions.truth[head][known]
    predicted = predictions.probabilities(head)[known].argmax(axis=1)
    figures = figures_of(labels, truth, predicted)
    found = predictions.found[known]
    group = predictions.group[known]
    people = len(np.unique(group))
    intervals = intervals_of(truth, predicted, group, labels=len(labels))
    calibration = model.calibration[head]
    calibrated = _calibration_figures(model.cross_fitted(predictions, head))
    return Entry(
        model=model.name,
        version=model.version,
        weights=model.weights,
        head=head,
        dataset=predictions.data_set,
        n=figures.n,
        people=people if people < figures.n else None,
        accuracy=rounded(figures.accuracy),
        accuracy_interval=_rounded_interval(intervals.accuracy),
        balanced_accuracy=rounded(figures.balanced_accuracy),
        balanced_interval=_rounded_interval(intervals.balanced),
        baseline=rounded(figures.baseline),
        per_class={label: rounded(share) for label, share in figures.recall.items()},
        per_class_n={label: n for label, n in figures.count.items() if n},
        per_class_interval={
            label: _rounded_interval(interval)
            for label, interval in zip(labels, intervals.recall, strict=True)
            if interval
        },
        confusion=confusion_matrix(labels, truth, predicted),
        calibration_n=calibrated.n,
        ece=calibrated.ece,
        ece_before=calibrated.ece_before,
        temperature=rounded(calibration.temperature),
        unsure_below=rounded(calibration.unsure_below),
        coverage=calibrated.coverage,
        accuracy_answered=calibrated.accuracy_answered,
        by=slices_of(predictions, head, labels, known),
        of_training=predictions.of_training,
        without_face=int((~found).sum()),
        accuracy_found=rounded((truth == predicted)[found].mean()) if found.any() else None,
        skipped=dict(predictions.skipped),
    )


@dataclass(frozen=True, slots=True)
class _CalibrationFigures:
    n: int
    ece: float | None = None
    ece_before: float | None = None
    coverage: float | None = None
    accuracy_answered: float | None = None


def _calibration_figures(faces: CrossFitted) -> _CalibrationFigures:
    if not len(faces.truth):
        return _CalibrationFigures(0)
    coverage, accuracy = at_threshold(
        faces.probabilities.max(axis=1),
        faces.probabilities.argmax(axis=1) == faces.truth,
        faces.unsure_below,
    )
    return _CalibrationFigures(
        n=len(faces.truth),
        ece=rounded(expected_calibration_error(faces.probabilities, faces.truth)),
        ece_before=rounded(expected_calibration_error(faces.uncalibrated, faces.truth)),
        coverage=rounded(coverage),
        accuracy_answered=None if accuracy is None else rounded(accuracy),
    )


def confusion_matrix(
    labels: Sequence[str], truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """True label -> predicted label -> number of faces; labels without a face have no row."""
    return {
        label: {
            other: int(((truth == row) & (predicted == column)).sum())
            for column, other in enumerate(labels)
        }
        for row, label in enumerate(labels)
        if (truth == row).any()
    }


def _rounded_interval(interval: Interval) -> list[float]:
    return [rounded(end) for end in interval]
