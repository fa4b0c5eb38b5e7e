"""Figures of subsets of the faces: by the height of the face, and by group of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.evaluation.figures import figures_of, rounded
from faces_jobs_models.training.evaluation.intervals import intervals_of
from faces_jobs_models.training.evaluation.predictions import Predictions

_SIZE_BANDS = ((1, 15), (16, 23), (24, 31), (32, 47), (48, 63), (64, None))  # pixels, both ends


class Slice(TypedDict):
    """Figures of a subset of the faces; the interval is [low, high] at 95 %."""

    n: int
    accuracy: float
    accuracy_interval: list[float]
    balanced_accuracy: float


def slices_of(
    predictions: Predictions, head: str, labels: Sequence[str], known: NDArray[np.bool_]
) -> dict[str, dict[str, Slice]]:
    """Return the figures of faces with a `known` truth, as criterion -> value -> figures."""
    truth, group = predictions.truth[head][known], predictions.group[known]
    predicted = predictions.probabilities(head)[known].argmax(axis=1)
    by = {
        "size_px": {
            str(size): _slice(labels, truth, at_size[head][known], group)
            for size, at_size in predictions.at_size.items()
        }
    }
    original = np.array([size_band(size) if size else "" for size in predictions.size_px[known]])
    faces = [groups for groups, is_known in zip(predictions.groups, known, strict=True) if is_known]
    criteria = sorted({criterion for groups in faces for criterion in groups} - {head})
    values = {name: np.array([groups.get(name, "") for groups in faces]) for name in criteria}
    for criterion, of_faces in {"original_size_px": original, **values}.items():
        names = set(of_faces.tolist()) - {""}
        slices = {
            name: _slice(labels, truth[chosen], predicted[chosen], group[chosen])
            for name in sorted(names, key=_natural_order)
            for chosen in [of_faces == name]
        }
        if slices:
            by[criterion] = slices
    return by


def size_band(size_px: int) -> str:
    """Return the band of a face height of at least 1: `1-15`, `16-23`, ..., `64+`."""
    for first, last in _SIZE_BANDS:
        if last is None or size_px <= last:
            return f"{first}+" if last is None else f"{first}-{last}"
    raise AssertionError("the last band has no end")


def _slice(
    labels: Sequence[str],
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    group: NDArray[np.str_],
) -> Slice:
    figures = figures_of(labels, truth, predicted)
    interval = intervals_of(truth, predicted, group, labels=len(labels)).accuracy
    return Slice(
        n=figures.n,
        accuracy=rounded(figures.accuracy),
        accuracy_interval=[rounded(end) for end in interval],
        balanced_accuracy=rounded(figures.balanced_accuracy),
    )


def _natural_order(name: str) -> tuple[int, str]:
    # Bands by their first number, words alphabetically.
    digits = name[: len(name) - len(name.lstrip("0123456789"))]
    return (int(digits) if digits else -1, name)
