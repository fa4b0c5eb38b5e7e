"""Temperature scaling: one number per head, by which logits are divided to calibrate probabilities.

Probabilities come in *views* here, (views, n, labels): those for the crops and, as a second view,
for their mirror images. The prediction is their mean, as for the faces of still images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

# A head without an error would get a temperature of zero, one that guesses an infinite one.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
_MIN_PROBABILITY = 1e-30  # keeps logarithms finite in single precision


def fit_temperature(
    views: NDArray[np.floating],
    truth: NDArray[np.integer],
    weight: NDArray[np.floating] | None = None,
) -> float:
    """Return the temperature T for which softmax(logits / T) fits the truth best.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599): T minimises the mean negative
    log-likelihood.

    Args:
        views: (views, n, labels) probabilities without a temperature.
        truth: (n,) label indices, negative where unknown.
        weight: (n,) of each face; None for equal weights.

    Returns:
        Between 0.1 and 10; 1 where no truth is known.
    """
    known = truth >= 0
    if not known.any():
        return 1.0
    logs, truth = _log_probabilities(views[:, known]), truth[known]
    logs_of_truth = logs[:, np.arange(len(truth)), truth]
    weights = np.ones(len(truth)) if weight is None else weight[known]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        of_views = logs_of_truth * scale - logsumexp(logs * scale, axis=2)  # (views, n)
        return -float(np.average(logsumexp(of_views, axis=0), weights=weights))

    # The loss of one view has a single minimum in log T, since it is convex in 1/T.
    found = minimize_scalar(
        loss,
        bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return float(np.exp(found.x))


def with_temperature(
    views: NDArray[np.floating], temperature: float | NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return softmax(logits / temperature), averaged over the views: (n, labels).

    Args:
        views: (views, n, labels) probabilities, softmax(logits).
        temperature: one for all, or (n,). To replace the temperature a that views already have by
            b, pass b / a.
    """
    logs = _log_probabilities(views) / np.reshape(temperature, (-1, 1))
    scaled = np.exp(logs - logsumexp(logs, axis=2, keepdims=True))
    return np.asarray(scaled.mean(axis=0), np.float64)


def _log_probabilities(views: NDArray[np.floating]) -> NDArray[np.float64]:
    probabilities = np.maximum(np.asarray(views, np.float64), _MIN_PROBABILITY)
    return np.asarray(np.log(probabilities), np.float64)
