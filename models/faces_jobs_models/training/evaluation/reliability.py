"""Calibration of probabilities: reliability bins and expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BINS = 15  # as in Guo et al., arXiv:1706.04599


def expected_calibration_error(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer], bins: int = _BINS
) -> float:
    """Return the expected calibration error (Guo et al.).

    Faces are put into bins of equal width by the probability of their most likely label; the error
    is the mean over faces of |accuracy - mean probability| of their bin.

    Args:
        probabilities: (n, labels) that sum to 1.
        truth: (n,) label indices, negative where unknown.
        bins: number of bins.

    Returns:
        0 (perfectly calibrated) to 1; 0 where no truth is known.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    return float(
        sum(
            share * abs(accuracy - confidence)
            for confidence, accuracy, share in reliability_bins(
                probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1) == truth, bins
            )
        )
    )


def reliability_bins(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], bins: int = _BINS
) -> list[tuple[float, float, float]]:
    """Return (mean confidence, accuracy, share of faces) of each bin that holds a face.

    Args:
        confidence: (n,) probability of the predicted label, 0..1.
        correct: (n,) whether it is correct.
        bins: number of bins of equal width.
    """
    # A bin includes its upper end, so that 1.0 falls into the last one.
    index = np.clip(np.ceil(np.asarray(confidence, np.float64) * bins) - 1, 0, bins - 1)
    return [
        (float(confidence[chosen].mean()), float(correct[chosen].mean()), float(chosen.mean()))
        for number in range(bins)
        if (chosen := index == number).any()
    ]
