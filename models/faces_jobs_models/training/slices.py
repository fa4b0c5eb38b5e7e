"""Figures of some of the faces: by the height of the face, and by group of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.figures import figures_of, rounded
from faces_jobs_models.training.intervals import intervals_of
from faces_jobs_models.training.predictions import Predictions

_SIZE_BANDS = ((1, 15), (16, 23), (24, 31), (32, 47), (48, 63), (64, None))  # pixels, both ends


class Slice(TypedDict):
    """Figures of some of the faces; an interval is [low, high] at 95 %."""

    n: int
    accuracy: float
    accuracy_interval: list[float]
    balanced_accuracy: float


def slices_of(
    predictions: Predictions, head: str, labels: Sequence[str], known: NDArray[np.bool_]
) -> dict[str, dict[str, Slice]]:
    """What the faces of a `known` truth can be told apart by -> its values -> their figures."""
    truth, group = predictions.truth[head][known], predictions.group[known]
    best = predictions.probabilities(head)[known].argmax(axis=1)
    by = {
        "size_px": {
            str(size): _slice(labels, truth, at_size[head][known], group)
            for size, at_size in predictions.at_size.items()
        }
    }
    original = np.array([size_band(size) if size else "" for size in predictions.size_px[known]])
    told = [groups for groups, is_known in zip(predictions.groups, known, strict=True) if is_known]
    kinds = sorted({kind for groups in told for kind in groups} - {head})
    values = {kind: np.array([groups.get(kind, "") for groups in told]) for kind in kinds}
    for kind, of_face in {"original_size_px": original, **values}.items():
        names = set(of_face.tolist()) - {""}
        found = {
            name: _slice(labels, truth[chosen], best[chosen], group[chosen])
            for name in sorted(names, key=_natural)
            for chosen in [of_face == name]
        }
        if found:
            by[kind] = found
    return by


def size_band(size_px: int) -> str:
    """The band that a face of this height (1 and more) is counted in: `16-23`, ..., `64+`."""
    for first, last in _SIZE_BANDS:
        if last is None or size_px <= last:
            return f"{first}+" if last is None else f"{first}-{last}"
    raise AssertionError("the last band has no end")


def _slice(
    labels: Sequence[str],
    truth: NDArray[np.int64],
    best: NDArray[np.int64],
    group: NDArray[np.str_],
) -> Slice:
    figures = figures_of(labels, truth, best)
    interval = intervals_of(truth, best, group, labels=len(labels)).accuracy
    return Slice(
        n=figures.n,
        accuracy=rounded(figures.accuracy),
        accuracy_interval=[rounded(end) for end in interval],
        balanced_accuracy=rounded(figures.balanced_accuracy),
    )


def _natural(name: str) -> tuple[int, str]:
    # "64+" after "16-23"; words by the alphabet.
    digits = name[: len(name) - len(name.lstrip("0123456789"))]
    return (int(digits) if digits else -1, name)
