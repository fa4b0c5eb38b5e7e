"""Figures of a classifier's head: accuracy, balanced accuracy, and the recall of each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of one head on n faces.

    `baseline` is the accuracy of always predicting the most frequent label.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    baseline: float
    recall: Mapping[str, float]  # of the labels that occur
    count: Mapping[str, int]  # faces of each label


def figures_of(
    labels: Sequence[str], truth: NDArray[np.int64], predicted: NDArray[np.int64]
) -> Figures:
    """Compare predictions with the truth.

    Balanced accuracy is the mean of the recalls of the labels that occur, so that a label with
    few faces weighs as much as one with many.

    Args:
        labels: the head's labels, in order.
        truth: (n,) label indices, -1 where unknown: such faces don't count.
        predicted: (n,) label indices.

    Raises:
        ValueError: no face has a known truth.
    """
    known = truth >= 0
    truth, predicted = truth[known], predicted[known]
    if not len(truth):
        raise ValueError("no face has a known truth")
    correct = truth == predicted
    count = {label: int((truth == index).sum()) for index, label in enumerate(labels)}
    recall = {
        label: float(correct[truth == index].mean())
        for index, label in enumerate(labels)
        if count[label]
    }
    return Figures(
        n=len(truth),
        accuracy=float(correct.mean()),
        balanced_accuracy=float(np.mean(list(recall.values()))),
        baseline=max(count.values()) / len(truth),
        recall=recall,
        count=count,
    )


def rounded(share: float) -> float:
    """Round a share as figures are written."""
    return round(float(share), _DIGITS)
