"""How good a model is on held-out faces: accuracy, balanced accuracy, recall of each label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One head on one data set. `baseline` is the accuracy of always answering the commonest."""

    model: str
    head: str
    data_set: str
    n: int
    accuracy: float
    balanced_accuracy: float
    baseline: float
    recall: Mapping[str, float]  # of the labels that the data holds
    count: Mapping[str, int]


def figures_of(
    *,
    model: str,
    head: str,
    data_set: str,
    labels: Sequence[str],
    truth: NDArray[np.int64],
    answers: NDArray[np.int64],
) -> Figures | None:
    """Compare answers with the truth.

    Balanced accuracy is the mean of the recalls of the labels that occur, so that a label with
    few faces weighs as much as one with many.

    Args:
        model: for the result.
        head: likewise.
        data_set: likewise.
        labels: the head's labels, in order.
        truth: (n,) label indices, -1 where unknown.
        answers: (n,) label indices.

    Returns:
        None where no face has a known truth.
    """
    known = truth >= 0
    truth, answers = truth[known], answers[known]
    if not len(truth):
        return None
    right = truth == answers
    count = {label: int((truth == index).sum()) for index, label in enumerate(labels)}
    recall = {
        label: float(right[truth == index].mean())
        for index, label in enumerate(labels)
        if count[label]
    }
    return Figures(
        model=model,
        head=head,
        data_set=data_set,
        n=len(truth),
        accuracy=float(right.mean()),
        balanced_accuracy=float(np.mean(list(recall.values()))),
        baseline=max(count.values()) / len(truth),
        recall=recall,
        count=count,
    )


def rounded(share: float) -> float:
    """As figures are told."""
    return round(float(share), _DIGITS)
