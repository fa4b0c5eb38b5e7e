"""Temperatures: one number a head, by which logits are divided so that probabilities are honest.

Probabilities come in *views* here: (views, n, labels), what is said of the crops themselves and, in
a second view, of their mirror images. The answer is the mean, as for a still's faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

# A head that is right on every face would get a temperature of zero, one that guesses infinity.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.1, 10.0
_SMALLEST = 1e-30  # probability; of less there is no logarithm in single precision


def fit_temperature(
    views: NDArray[np.floating],
    truth: NDArray[np.integer],
    weight: NDArray[np.floating] | None = None,
) -> float:
    """The temperature T for which the answers, softmax(logits / T), fit the truth best.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599): the mean negative log-likelihood is
    made smallest over one number.

    Args:
        views: (views, n, labels) probabilities without a temperature.
        truth: (n,) label indices, negative where unknown.
        weight: (n,) of each face; None: all weigh the same.

    Returns:
        Between 0.1 and 10; 1 where no truth is known.
    """
    known = truth >= 0
    if not known.any():
        return 1.0
    logs, truth = _logs(views[:, known]), truth[known]
    of_truth = logs[:, np.arange(len(truth)), truth]
    share = np.ones(len(truth)) if weight is None else weight[known]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        each = of_truth * scale - logsumexp(logs * scale, axis=2)  # (views, n)
        return -float(np.average(logsumexp(each, axis=0), weights=share))

    # In log T the loss of one view has one valley: it is convex in 1/T.
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
    """The answers that softmax(logits / temperature) gives: the mean over the views, (n, labels).

    Args:
        views: (views, n, labels) probabilities, softmax(logits).
        temperature: one for all, or (n,). Of two temperatures the quotient takes a view from the
            one to the other.
    """
    logs = _logs(views) / np.reshape(temperature, (-1, 1))
    changed = np.exp(logs - logsumexp(logs, axis=2, keepdims=True))
    return np.asarray(changed.mean(axis=0), np.float64)


def _logs(views: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(np.asarray(views, np.float64), _SMALLEST)), np.float64)
