"""How often answers are wrong when the less sure ones are not given, and when not to give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST_COVERAGE = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """One point a possible threshold, from the highest threshold (fewest answers) down.

    All (points,) float64: `threshold`; `coverage`, the share of faces whose confidence is at
    least that; `risk`, the share of wrong answers among them.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]


def risk_coverage(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> RiskCoverage:
    """The curve of El-Yaniv and Wiener (JMLR 2010) for confidence as the selection.

    Args:
        confidence: (n,) probability of the answer.
        right: (n,) whether it is right.
    """
    order = np.argsort(-confidence, kind="stable")
    threshold = np.asarray(confidence[order], np.float64)
    taken = np.arange(1, len(order) + 1)
    wrong = np.cumsum(~right[order])
    # Faces of the same confidence are answered together or not at all.
    last = np.append(threshold[1:] != threshold[:-1], True)[: len(order)]
    return RiskCoverage(
        threshold=threshold[last],
        coverage=taken[last] / max(1, len(order)),
        risk=wrong[last] / taken[last],
    )


def at_threshold(
    confidence: NDArray[np.floating],
    right: NDArray[np.bool_],
    threshold: float | NDArray[np.floating],
) -> tuple[float, float | None]:
    """Coverage at a threshold, and the accuracy of what is answered (None: nothing is).

    The threshold is one for all, or (n,) as the other two.
    """
    answered = confidence >= threshold
    if not answered.any():
        return 0.0, None
    return float(answered.mean()), float(right[answered].mean())


def choose_unsure_below(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    *,
    target: float | None = None,
    min_coverage: float = _LEAST_COVERAGE,
) -> float:
    """The default threshold below which an answer should be `unsure`, by the risk-coverage curve.

    It is the smallest threshold at which the answers that remain are right at least as often as
    `target`, among those that leave at least `min_coverage` of the faces an answer.

    Args:
        probabilities: (n, labels), calibrated.
        truth: (n,) label indices, negative where unknown.
        target: accuracy of the answers that remain. None takes half of the head's errors away,
            or, where that would cost more answers than `min_coverage` allows, as many as
            it allows.
        min_coverage: share of the faces that must keep an answer.

    Returns:
        0 (never unsure) where the target is reached without a threshold, or by none.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    if not len(truth):
        return 0.0
    curve = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    allowed = curve.coverage >= min_coverage
    accuracy = 1 - curve.risk[allowed]
    if target is None:
        everything = float(accuracy[-1])
        target = min(1 - (1 - everything) / 2, float(accuracy.max()))
    # Both sides come from the same divisions; this is for a target that a caller wrote down.
    reached = np.nonzero(accuracy >= target - 1e-12)[0]
    if not len(reached) or reached[-1] == len(accuracy) - 1:
        return 0.0
    return float(curve.threshold[allowed][reached[-1]])
