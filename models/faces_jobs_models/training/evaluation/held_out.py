"""Predictions and figures of a network on held-out crops, during and after training.

Published figures come from `measure`, which evaluates the shipped files with the steps of a job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from faces_jobs.jobs.labels import MIRRORED_LABEL_INDICES
from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.data.augment import centre_crop
from faces_jobs_models.training.data.prepare import PreparedDataSet
from faces_jobs_models.training.evaluation.figures import Figures, figures_of

_BATCH_SIZE = 256

Heads = Mapping[str, Sequence[str]]
"""Head -> its labels."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutPredictions:
    """A network's predictions for the held-out crops of a data set; head -> arrays over them."""

    data_set: str
    views: Mapping[str, NDArray[np.float32]]  # (views, n, labels), without temperatures
    truth: Mapping[str, NDArray[np.int64]]  # (n,), -1 where unknown
    group: NDArray[np.str_]  # (n,)


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """The figures of one head on one data set."""

    head: str
    data_set: str
    figures: Figures


def predict_held_out(
    network: AttributeNetwork,
    heads: Heads,
    data_sets: Sequence[PreparedDataSet],
    *,
    crop_size: int,
    mirrored: bool = False,
) -> list[HeldOutPredictions]:
    """Predict the held-out crops of each data set that has any.

    Args:
        network: is left in evaluation mode.
        heads: those of its heads that are predicted.
        data_sets: with prepared crops.
        crop_size: side of the network's input in pixels.
        mirrored: also predict the mirror images, as a second view.
    """
    network.eval()
    predictions = []
    for data in data_sets:
        rows = np.nonzero(data.held_out)[0]
        if not len(rows):
            continue
        parts: dict[str, list[NDArray[np.float32]]] = {head: [] for head in heads}
        for start in range(0, len(rows), _BATCH_SIZE):
            crops = torch.from_numpy(np.asarray(data.crops[rows[start : start + _BATCH_SIZE]]))
            views = _predict_views(
                network, heads, centre_crop(crops, size=crop_size), mirrored=mirrored
            )
            for head in heads:
                parts[head].append(views[head])
        predictions.append(
            HeldOutPredictions(
                data_set=data.name,
                views={head: np.concatenate(views, axis=1) for head, views in parts.items()},
                truth={head: data.truth[head][rows] for head in heads},
                group=data.group[rows],
            )
        )
    return predictions


def figures_of_held_out(
    heads: Heads, held_out: Sequence[HeldOutPredictions]
) -> list[HeldOutFigures]:
    """Return the figures of each head on each data set that has its labels; without mirroring."""
    return [
        HeldOutFigures(
            head,
            one.data_set,
            figures_of(labels, one.truth[head], one.views[head][0].argmax(axis=1)),
        )
        for one in held_out
        for head, labels in heads.items()
        if (one.truth[head] >= 0).any()
    ]


def _predict_views(
    network: AttributeNetwork, heads: Heads, crops: torch.Tensor, *, mirrored: bool
) -> dict[str, NDArray[np.float32]]:
    views = [_probabilities(network, crops)]
    if mirrored:
        mirror = _probabilities(network, crops.flip(3))
        views.append({head: mirror[head][:, list(MIRRORED_LABEL_INDICES[head])] for head in heads})
    return {head: np.stack([view[head] for view in views]) for head in heads}


def _probabilities(
    network: AttributeNetwork, crops: torch.Tensor
) -> Mapping[str, NDArray[np.float32]]:
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network.logits(crops.to(device, memory_format=torch.channels_last))
    return {head: torch.softmax(values, dim=1).cpu().numpy() for head, values in logits.items()}
