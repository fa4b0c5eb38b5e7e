"""Cross-fitting: calibrates each person's predictions with what was fitted on other people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.training.evaluation.folds import NO_FOLD
from faces_jobs_models.training.evaluation.temperature import with_temperature
from faces_jobs_models.weights import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """Cross-fitted predictions of a head for n faces of known truth.

    `uncalibrated` are the probabilities without a temperature; `unsure_below` are the thresholds.
    """

    truth: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, labels)
    uncalibrated: NDArray[np.float64]  # (n, labels)
    unsure_below: NDArray[np.float64]  # (n,)


def cross_fitted(
    views: NDArray[np.floating],
    truth: NDArray[np.int64],
    fold: NDArray[np.int64],
    calibration: Calibration,
    *,
    temperature: float,
) -> CrossFitted:
    """Calibrate each face with the temperature and the threshold that were fitted without its fold.

    Faces without a fold, on which nothing was fitted, get those that ship. If the calibration has
    no folds, faces with a fold are left out.

    Args:
        views: (views, n, labels) probabilities.
        truth: (n,) label indices, -1 where unknown: such faces are left out as well.
        fold: (n,) indices, or `NO_FOLD`.
        calibration: the head's.
        temperature: the one that the views already have; 1 if the network has none yet.
    """
    chosen = truth >= 0
    if not calibration.folds:
        chosen = chosen & (fold == NO_FOLD)
    by_fold = [*calibration.folds, calibration]  # NO_FOLD, -1, selects the last one
    temperatures = np.array([one.temperature for one in by_fold])[fold[chosen]]
    thresholds = np.array([one.unsure_below for one in by_fold])[fold[chosen]]
    return CrossFitted(
        truth=truth[chosen],
        probabilities=with_temperature(views[:, chosen], temperatures / temperature),
        uncalibrated=with_temperature(views[:, chosen], 1 / temperature),
        unsure_below=thresholds,
    )
