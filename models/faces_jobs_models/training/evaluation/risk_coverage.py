"""Selective prediction: the risk-coverage curve, and the threshold for `unsure`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MIN_COVERAGE = 0.8
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """One point for each possible threshold, in descending order.

    All (points,) float64: `threshold`; `coverage`, the share of faces with at least this
    confidence; `risk`, the share of wrong predictions among them.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]


def risk_coverage(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> RiskCoverage:
    """Return the risk-coverage curve (El-Yaniv and Wiener, JMLR 2010), selecting by confidence.

    Args:
        confidence: (n,) probability of the predicted label.
        correct: (n,) whether it is correct.
    """
    order = np.argsort(-confidence, kind="stable")
    threshold = np.asarray(confidence[order], np.float64)
    taken = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~correct[order])
    # Faces of equal confidence are all above a threshold or none of them is.
    last = np.append(threshold[1:] != threshold[:-1], True)[: len(order)]
    return RiskCoverage(
        threshold=threshold[last],
        coverage=taken[last] / max(1, len(order)),
        risk=wrong[last] / taken[last],
    )


def at_threshold(
    confidence: NDArray[np.floating],
    correct: NDArray[np.bool_],
    threshold: float | NDArray[np.floating],
) -> tuple[float, float | None]:
    """Return coverage at a threshold, and accuracy among the covered faces (None: there are none).

    The threshold is one number, or (n,) as the other two.
    """
    covered = confidence >= threshold
    if not covered.any():
        return 0.0, None
    return float(covered.mean()), float(correct[covered].mean())


def choose_unsure_below(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    *,
    target: float | None = None,
    min_coverage: float = _MIN_COVERAGE,
) -> float:
    """Choose the threshold below which a prediction should be `unsure`, by the risk-coverage curve.

    It is the smallest threshold that reaches the accuracy `target` among the covered faces, with a
    coverage of at least `min_coverage`.

    Args:
        probabilities: (n, labels), calibrated.
        truth: (n,) label indices, negative where unknown.
        target: accuracy among the covered faces. None for half of the head's errors, or the best
            accuracy that `min_coverage` allows, if that is lower.
        min_coverage: share of the faces that must not be unsure.

    Returns:
        The threshold; 0 (never unsure) if the target is reached without one, or not at all.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    if not len(truth):
        return 0.0
    curve = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    allowed = curve.coverage >= min_coverage
    accuracy = 1 - curve.risk[allowed]
    if target is None:
        of_all = float(accuracy[-1])
        target = min(1 - (1 - of_all) / 2, float(accuracy.max()))
    # The tolerance is for targets from callers, which may differ in the last bit.
    reached = np.nonzero(accuracy >= target - _TOLERANCE)[0]
    if not len(reached) or reached[-1] == len(accuracy) - 1:
        return 0.0
    return float(curve.threshold[allowed][reached[-1]])
