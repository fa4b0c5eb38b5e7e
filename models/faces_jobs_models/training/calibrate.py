"""Calibrates a trained network: a temperature and a threshold for each head."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.augment import middle
from faces_jobs_models.training.calibration import (
    calibration_half,
    choose_unsure_below,
    fit_temperature,
    with_temperature,
)
from faces_jobs_models.training.prepare import Prepared
from faces_jobs_models.weights import Calibration

_BATCH = 256


def calibrate(
    network: AttributeNetwork, data_sets: Sequence[Prepared], *, crop_size: int
) -> dict[str, Calibration]:
    """Fit on one half of the held-out faces of all data sets, and set the network's temperatures.

    Where several data sets know a head their faces count alike. A head that no held-out face
    knows keeps temperature 1 and is never unsure.

    Returns:
        Head -> calibration, for the record.
    """
    network.eval()
    network.get_buffer("temperatures").fill_(1.0)
    heads = tuple(network.heads)
    logits: dict[str, list[NDArray[np.float32]]] = {head: [] for head in heads}
    truth: dict[str, list[NDArray[np.int64]]] = {head: [] for head in heads}
    for data in data_sets:
        rows = np.nonzero(data.held_out)[0]
        rows = rows[calibration_half(data.group[rows])]
        for start in range(0, len(rows), _BATCH):
            picked = rows[start : start + _BATCH]
            crops = torch.from_numpy(np.asarray(data.crops[picked]))
            with torch.inference_mode():
                answers = network.logits(middle(crops, size=crop_size))
            for head in heads:
                logits[head].append(answers[head].numpy())
                truth[head].append(data.truth[head][picked])
    found = {}
    for index, head in enumerate(heads):
        if not logits[head]:
            found[head] = Calibration()
            continue
        said, right = np.concatenate(logits[head]), np.concatenate(truth[head])
        temperature = fit_temperature(said, right)
        network.get_buffer("temperatures")[index] = temperature
        raw = torch.softmax(torch.from_numpy(said), dim=1).numpy()
        unsure_below = choose_unsure_below(with_temperature(raw, temperature), right)
        found[head] = Calibration(
            temperature=round(temperature, 4), unsure_below=round(unsure_below, 4)
        )
    return found
