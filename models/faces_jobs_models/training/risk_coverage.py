"""How often answers are wrong when the less sure ones are not given: the risk-coverage curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    confidence: NDArray[np.floating], right: NDArray[np.bool_], threshold: float
) -> tuple[float, float | None]:
    """Coverage at one threshold, and the accuracy of what is answered (None: nothing is)."""
    answered = confidence >= threshold
    if not answered.any():
        return 0.0, None
    return float(answered.mean()), float(right[answered].mean())
