"""Calibrates a trained network: a temperature and a threshold for each head.

Both are fitted on all held-out faces. They are fitted again without the people of each fold, and it
is by those that the fold's people are measured: what is reported holds for people whom nothing was
fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.folds import FOLDS, fold_of
from faces_jobs_models.training.held_out import HeldOutPredictions
from faces_jobs_models.training.risk_coverage import choose_unsure_below
from faces_jobs_models.training.temperature import fit_temperature, with_temperature
from faces_jobs_models.weights import Calibration


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """The faces of which a head's truth is known, of one data set or of all."""

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

    A head that no held-out face knows keeps temperature 1 and is never unsure.

    Args:
        network: whose answers they are.
        held_out: its answers to the held-out faces of all its data sets, with mirror images.

    Returns:
        Head -> calibration, for the record.
    """
    found = {head: _calibration(head, held_out) for head in network.heads}
    for index, calibration in enumerate(found.values()):
        network.get_buffer("temperatures")[index] = calibration.temperature
    return found


def _calibration(head: str, held_out: Sequence[HeldOutPredictions]) -> Calibration:
    parts = [_known_faces(head, one) for one in held_out if (one.truth[head] >= 0).any()]
    if not parts:
        return Calibration()
    faces = _Faces(
        np.concatenate([part.views for part in parts], axis=1),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([part.fold for part in parts]),
    )
    folds = tuple(_fitted(faces.without(fold)) for fold in range(FOLDS))
    return replace(_fitted(faces), folds=folds)


def _known_faces(head: str, held_out: HeldOutPredictions) -> _Faces:
    known = held_out.truth[head] >= 0
    group = held_out.group[known]
    return _Faces(
        held_out.views[head][:, known], held_out.truth[head][known], _weights(group), fold_of(group)
    )


def _weights(group: NDArray[np.str_]) -> NDArray[np.float64]:
    # Each person of a data set weighs as much as another, whatever the number of his faces, since
    # frames are near copies; and each data set as much as another, since nobody knows which one
    # users' pictures will be like.
    _, person, faces = np.unique(group, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(faces) * faces[person]), np.float64)


def _fitted(faces: _Faces) -> Calibration:
    temperature = round(fit_temperature(faces.views, faces.truth, faces.weight), 4)
    # The threshold counts faces alike: by weights, 160 masks that are easy to tell would allow that
    # a third of the faces in films be left without an answer.
    unsure_below = choose_unsure_below(with_temperature(faces.views, temperature), faces.truth)
    return Calibration(temperature, round(unsure_below, 4))
