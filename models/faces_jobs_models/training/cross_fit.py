"""A head's answers as they would be had nothing been fitted on the person who is asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.folds import NO_FOLD
from faces_jobs_models.training.temperature import with_temperature
from faces_jobs_models.weights import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """Such answers to n faces of known truth.

    `before` are the answers without a temperature; `unsure_below` is the threshold of each face.
    """

    truth: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, labels)
    before: NDArray[np.float64]  # (n, labels)
    unsure_below: NDArray[np.float64]  # (n,)


def cross_fitted(
    views: NDArray[np.floating],
    truth: NDArray[np.int64],
    fold: NDArray[np.int64],
    calibration: Calibration,
    *,
    temperature: float,
) -> CrossFitted:
    """Each face with the temperature and the threshold that were fitted without its fold.

    A face of no fold, which nothing was fitted on, has those that ship. Faces of a fold are left
    out where the calibration does not tell its folds.

    Args:
        views: (views, faces, labels) probabilities.
        truth: (faces,) label indices, -1 where unknown: such faces are left out as well.
        fold: (faces,)
        calibration: the head's.
        temperature: which the views have: the network's, or 1 where it has none yet.
    """
    chosen = truth >= 0
    if not calibration.folds:
        chosen = chosen & (fold == NO_FOLD)
    numbers = [*calibration.folds, calibration]  # the last one is of NO_FOLD
    temperatures = np.array([one.temperature for one in numbers])[fold[chosen]]
    thresholds = np.array([one.unsure_below for one in numbers])[fold[chosen]]
    return CrossFitted(
        truth=truth[chosen],
        probabilities=with_temperature(views[:, chosen], temperatures / temperature),
        before=with_temperature(views[:, chosen], 1 / temperature),
        unsure_below=thresholds,
    )
