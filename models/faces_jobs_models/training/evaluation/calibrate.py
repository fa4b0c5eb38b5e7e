"""Calibrates a trained network: fits a temperature and a threshold for each head.

Both are fitted on all held-out faces. For evaluation they are fitted again without each fold's
people, whose predictions are calibrated with these (cross-fitting): the reported figures are of
people on whom nothing was fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.evaluation.folds import FOLDS, fold_of
from faces_jobs_models.training.evaluation.held_out import HeldOutPredictions
from faces_jobs_models.training.evaluation.risk_coverage import choose_unsure_below
from faces_jobs_models.training.evaluation.temperature import fit_temperature, with_temperature
from faces_jobs_models.weights import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """The faces with a known truth of a head, of one data set or of all."""

    views: NDArray[np.float32]  # (views, n, labels)
    truth: NDArray[np.int64]  # (n,)
    weight: NDArray[np.float64]  # (n,)
    fold: NDArray[np.int64]  # (n,)

    def without(self, fold: int) -> _Faces:
        kept = self.fold != fold
        return _Faces(self.views[:, kept], self.truth[kept], self.weight[kept], self.fold[kept])


def calibrate(
    network: AttributeNetwork, held_out: Sequence[HeldOutPredictions]
) -> dict[str, Calibration]:
    """Fit each head, and set the network's temperatures.

    A head without a labelled held-out face keeps temperature 1 and is never unsure.

    Args:
        network: the network that made the predictions.
        held_out: its predictions for the held-out faces of all its data sets and their mirror
            images.

    Returns:
        Head -> calibration, for the record.
    """
    calibrations = {head: _calibrate_head(head, held_out) for head in network.heads}
    for index, calibration in enumerate(calibrations.values()):
        network.get_buffer("temperatures")[index] = calibration.temperature
    return calibrations


def _calibrate_head(head: str, held_out: Sequence[HeldOutPredictions]) -> Calibration:
    parts = [_known_faces(head, one) for one in held_out if (one.truth[head] >= 0).any()]
    if not parts:
        return Calibration()
    faces = _Faces(
        np.concatenate([part.views for part in parts], axis=1),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.fold for part in parts]),
    )
    folds = tuple(_fit(faces.without(fold)) for fold in range(FOLDS))
    return replace(_fit(faces), folds=folds)


def _known_faces(head: str, held_out: HeldOutPredictions) -> _Faces:
    known = held_out.truth[head] >= 0
    group = held_out.group[known]
    return _Faces(
        held_out.views[head][:, known], held_out.truth[head][known], _weights(group), fold_of(group)
    )


def _weights(group: NDArray[np.str_]) -> NDArray[np.float64]:
    # All people of a data set have the same weight, whatever their number of faces, since frames
    # are near duplicates; and so have all data sets, since it is unknown which of them users'
    # pictures resemble most.
    _, person, faces = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(faces) * faces[person]), np.float64)


def _fit(faces: _Faces) -> Calibration:
    temperature = round(fit_temperature(faces.views, faces.truth, faces.weight), 4)
    # Unweighted: with weights, the 160 faces with masks, which are easy, would let the threshold
    # leave a third of the faces in films unsure.
    unsure_below = choose_unsure_below(with_temperature(faces.views, temperature), faces.truth)
    return Calibration(temperature, round(unsure_below, 4))
