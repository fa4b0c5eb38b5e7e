"""Selective prediction: the risk-coverage curve, and the threshold for `unsure`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The share of the faces that must not be unsure.
_MIN_COVERAGE = 0.8


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


def choose_unsure_below(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """Choose the threshold below which a prediction should be `unsure`, by the risk-coverage curve.

    It is the smallest threshold that halves the share of errors among the covered faces, or makes
    it as small as a coverage of 80 % allows, if that is more.

    Args:
        probabilities: (n, labels), calibrated.
        truth: (n,) label indices, negative where unknown.

    Returns:
        The threshold; 0 (never unsure) if no threshold gains anything.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    if not len(truth):
        return 0.0
    curve = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    allowed = curve.coverage >= _MIN_COVERAGE
    risk = curve.risk[allowed]
    target = max(risk[-1] / 2, risk.min())
    last = np.nonzero(risk <= target)[0][-1]
    return 0.0 if last == len(risk) - 1 else float(curve.threshold[allowed][last])
