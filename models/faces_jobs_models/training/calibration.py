"""Makes probabilities honest: one temperature a head, how far they are off, when to say `unsure`.

Both numbers are fitted on one half of the held-out faces (`calibration_half`) and are to be
reported on the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from faces_jobs_models.training.risk_coverage import risk_coverage
from faces_jobs_models.training.samples import is_held_out

# A head that is right on every face would get a temperature of zero, one that guesses infinity.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0
LEAST_COVERAGE = 0.8
# Of 13 held-out actors each half must show every label. This salt, the best of 3,000 tried by their
# labels alone, parts those that three actors or more show into 30 % or more on either side.
_SALT = 823
_BINS = 15  # as in Guo et al.


def calibration_half(group: Iterable[str]) -> NDArray[np.bool_]:
    """Which held-out faces to fit on, by their groups; the others are to be reported.

    All faces of a person are on one side, or the fit would be reported on the people that it was
    made for.
    """
    return np.array([is_held_out(f"calibration/{_SALT}/{one}", 0.5) for one in group], bool)


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The temperature T for which softmax(logits / T) fits the truth best.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599): the mean negative log-likelihood is
    made smallest over one number, which leaves every answer as it is.

    Args:
        logits: (n, labels), before the softmax; log probabilities do as well.
        truth: (n,) label indices, negative where unknown.

    Returns:
        Between 0.1 and 10; 1 where no truth is known.
    """
    known = truth >= 0
    logits, truth = np.asarray(logits[known], np.float64), truth[known]
    if not len(truth):
        return 1.0
    of_truth = logits[np.arange(len(truth)), truth]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        return float(np.mean(logsumexp(logits * scale, axis=1) - of_truth * scale))

    # In log T the loss has one valley: it is convex in 1/T.
    found = minimize_scalar(
        loss,
        bounds=(np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def with_temperature(
    probabilities: NDArray[np.floating], temperature: float
) -> NDArray[np.float64]:
    """What softmax(logits / temperature) would give, from softmax(logits). (n, labels) both."""
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), 1e-30)) / temperature
    return np.asarray(np.exp(logs - logsumexp(logs, axis=1, keepdims=True)), np.float64)


def expected_calibration_error(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer], bins: int = _BINS
) -> float:
    """How far the probability of the answer is from how often it is right, on average.

    Faces are put into `bins` equally wide bins by the probability of their best label; the error
    is the mean over faces of |accuracy - mean probability| of their bin (Guo et al. 2017).

    Args:
        probabilities: (n, labels) that sum to 1.
        truth: (n,) label indices, negative where unknown.
        bins: how many.

    Returns:
        0 (honest) to 1; 0 where no truth is known.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    return float(
        sum(
            share * abs(accuracy - confidence)
            for confidence, accuracy, share in reliability(
                probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1) == truth, bins
            )
        )
    )


def reliability(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = _BINS
) -> list[tuple[float, float, float]]:
    """(mean confidence, accuracy, share of faces) of each bin that holds a face.

    Args:
        confidence: (n,) probability of the answer, 0..1.
        right: (n,) whether it is right.
        bins: how many equally wide ones.
    """
    # A bin takes its upper end, so that 1.0 falls into the last.
    index = np.clip(np.ceil(np.asarray(confidence, np.float64) * bins) - 1, 0, bins - 1)
    return [
        (float(confidence[chosen].mean()), float(right[chosen].mean()), float(chosen.mean()))
        for place in range(bins)
        if (chosen := index == place).any()
    ]


def choose_unsure_below(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    *,
    target: float | None = None,
    least_coverage: float = LEAST_COVERAGE,
) -> float:
    """The default threshold below which an answer should be `unsure`, by the risk-coverage curve.

    It is the smallest threshold at which the answers that remain are right at least as often as
    `target`, among those that leave at least `least_coverage` of the faces an answer.

    Args:
        probabilities: (n, labels), calibrated.
        truth: (n,) label indices, negative where unknown.
        target: accuracy of the answers that remain. None takes half of the head's errors away,
            or, where that would cost more answers than `least_coverage` allows, as many as
            it allows.
        least_coverage: share of the faces that must keep an answer.

    Returns:
        0 (never unsure) where the target is reached without a threshold, or by none.
    """
    known = truth >= 0
    probabilities, truth = probabilities[known], truth[known]
    if not len(truth):
        return 0.0
    curve = risk_coverage(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)
    allowed = curve.coverage >= least_coverage
    accuracy = 1 - curve.risk[allowed]
    if target is None:
        everything = float(accuracy[-1])
        target = min(1 - (1 - everything) / 2, float(accuracy.max()))
    # Both sides come from the same divisions; this is for a target that a caller wrote down.
    reached = np.nonzero(accuracy >= target - 1e-12)[0]
    if not len(reached) or reached[-1] == len(accuracy) - 1:
        return 0.0
    return float(curve.threshold[allowed][reached[-1]])
