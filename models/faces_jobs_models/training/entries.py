"""The figures of one head on one data set, as `faces-jobs evaluate --json` gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.cross_fit import CrossFitted, cross_fitted
from faces_jobs_models.training.figures import figures_of, rounded
from faces_jobs_models.training.intervals import Interval, intervals_of
from faces_jobs_models.training.predictions import Predictions
from faces_jobs_models.training.reliability import expected_calibration_error
from faces_jobs_models.training.risk_coverage import at_threshold
from faces_jobs_models.training.slices import Slice, slices_of
from faces_jobs_models.weights import Calibration

_SHA256_DIGITS = 12


class Weights(TypedDict):
    """Which weights answered: the start of their SHA-256, and which training they are of.

    `variant` is `default` or `fer2013`; of a detector it is its name.
    """

    sha256: str
    variant: str


class Entry(TypedDict):
    """One head on one data set. All shares are 0..1.

    `people` is how many the faces are of, where some are of the same one and that is known.
    Every answer counts with its best label, also where a user would see `unsure`. `ece`,
    `coverage` and `accuracy_answered` are of `calibration_n` faces, each with a temperature and a
    threshold that were fitted without its person; `ece_before` is of the same faces without a
    temperature. `temperature` and `unsure_below` are those that ship.
    `of_training` counts the faces that training uses. `without_face` counts those that the detector
    did not find, so that the whole picture was cut; `accuracy_found` is of the others.
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
    """The short name of weights that answered."""
    return Weights(sha256=sha256[:_SHA256_DIGITS], variant=variant)


@dataclass(frozen=True, slots=True)
class EvaluatedModel:
    """Which network answered, for the entries, and how its heads are calibrated."""

    name: str
    version: str
    weights: Weights
    heads: Mapping[str, Sequence[str]]
    calibration: Mapping[str, Calibration]  # of every head

    def cross_fitted(self, predictions: Predictions, head: str) -> CrossFitted:
        """Its answers as they would be had nothing been fitted on the person."""
        calibration = self.calibration[head]
        return cross_fitted(
            predictions.views[head],
            predictions.truth[head],
            predictions.fold,
            calibration,
            temperature=calibration.temperature,
        )


def entries_of(asked: EvaluatedModel, predictions: Predictions) -> list[Entry]:
    """An entry for each head of which the data set knows at least one face's truth."""
    entries = []
    for head in asked.heads:
        known = predictions.truth[head] >= 0
        if known.any():
            entries.append(_entry(asked, predictions, head, known))
    return entries


def _entry(
    asked: EvaluatedModel, predictions: Predictions, head: str, known: NDArray[np.bool_]
) -> Entry:
    labels = asked.heads[head]
    truth = predictions.truth[head][known]
    best = predictions.probabilities(head)[known].argmax(axis=1)
    figures = figures_of(labels, truth, best)
    found = predictions.found[known]
    group = predictions.group[known]
    people = len(np.unique(group))
    intervals = intervals_of(truth, best, group, labels=len(labels))
    calibration = asked.calibration[head]
    measured = _measured(asked.cross_fitted(predictions, head))
    return Entry(
        model=asked.name,
        version=asked.version,
        weights=asked.weights,
        head=head,
        dataset=predictions.data_set,
        n=figures.n,
        people=people if people < figures.n else None,
        accuracy=rounded(figures.accuracy),
        accuracy_interval=_ends(intervals.accuracy),
        balanced_accuracy=rounded(figures.balanced_accuracy),
        balanced_interval=_ends(intervals.balanced),
        baseline=rounded(figures.baseline),
        per_class={label: rounded(share) for label, share in figures.recall.items()},
        per_class_n={label: n for label, n in figures.count.items() if n},
        per_class_interval={
            label: _ends(interval)
            for label, interval in zip(labels, intervals.recall, strict=True)
            if interval
        },
        confusion=confusion_matrix(labels, truth, best),
        calibration_n=measured.n,
        ece=measured.ece,
        ece_before=measured.ece_before,
        temperature=rounded(calibration.temperature),
        unsure_below=rounded(calibration.unsure_below),
        coverage=measured.coverage,
        accuracy_answered=measured.accuracy_answered,
        by=slices_of(predictions, head, labels, known),
        of_training=predictions.of_training,
        without_face=int((~found).sum()),
        accuracy_found=rounded((truth == best)[found].mean()) if found.any() else None,
        skipped=dict(predictions.skipped),
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    n: int
    ece: float | None = None
    ece_before: float | None = None
    coverage: float | None = None
    accuracy_answered: float | None = None


def _measured(faces: CrossFitted) -> _Measured:
    if not len(faces.truth):
        return _Measured(0)
    coverage, accuracy = at_threshold(
        faces.probabilities.max(axis=1),
        faces.probabilities.argmax(axis=1) == faces.truth,
        faces.unsure_below,
    )
    return _Measured(
        n=len(faces.truth),
        ece=rounded(expected_calibration_error(faces.probabilities, faces.truth)),
        ece_before=rounded(expected_calibration_error(faces.before, faces.truth)),
        coverage=rounded(coverage),
        accuracy_answered=None if accuracy is None else rounded(accuracy),
    )


def confusion_matrix(
    labels: Sequence[str], truth: NDArray[np.int64], predictions: NDArray[np.int64]
) -> dict[str, dict[str, int]]:
    """True label -> answered label -> faces; true labels without a face are left out."""
    return {
        label: {
            answered: int(((truth == row) & (predictions == column)).sum())
            for column, answered in enumerate(labels)
        }
        for row, label in enumerate(labels)
        if (truth == row).any()
    }


def _ends(interval: Interval) -> list[float]:
    return [rounded(end) for end in interval]
