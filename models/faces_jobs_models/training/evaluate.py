"""Runs a network over the held-out crops of the prepared data sets, between epochs.

What is published comes from `measure`, which asks the files that ship.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.training.augment import middle
from faces_jobs_models.training.figures import Figures, figures_of
from faces_jobs_models.training.prepare import Prepared

_BATCH = 256

Answer = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""(n, channels, size, size) float32 0..255 -> head to (n, labels) probabilities."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A data set's held-out crops as a network sees them; head -> arrays over those crops."""

    data_set: str
    probabilities: Mapping[str, NDArray[np.float32]]  # (n, labels)
    truth: Mapping[str, NDArray[np.int64]]  # (n,), -1 where unknown
    group: NDArray[np.str_]  # (n,)


def ask(
    heads: Mapping[str, Sequence[str]],
    answer: Answer,
    data_sets: Sequence[Prepared],
    *,
    crop_size: int,
) -> list[Asked]:
    """What a network says of the held-out crops of each data set that has some."""
    asked = []
    for data in data_sets:
        rows = np.nonzero(data.held_out)[0]
        if not len(rows):
            continue
        said: dict[str, list[NDArray[np.float32]]] = {head: [] for head in heads}
        for start in range(0, len(rows), _BATCH):
            crops = torch.from_numpy(np.asarray(data.crops[rows[start : start + _BATCH]]))
            answers = answer(middle(crops, size=crop_size).numpy())
            for head in heads:
                said[head].append(answers[head])
        asked.append(
            Asked(
                data_set=data.name,
                probabilities={head: np.concatenate(rows_of) for head, rows_of in said.items()},
                truth={head: data.truth[head][rows] for head in heads},
                group=data.group[rows],
            )
        )
    return asked


def evaluate(
    model: str,
    heads: Mapping[str, Sequence[str]],
    answer: Answer,
    data_sets: Sequence[Prepared],
    *,
    crop_size: int,
) -> list[Figures]:
    """Figures of each head on each data set that knows it."""
    every = (
        figures_of(
            model=model,
            head=head,
            data_set=asked.data_set,
            labels=labels,
            truth=asked.truth[head],
            answers=asked.probabilities[head].argmax(axis=1),
        )
        for asked in ask(heads, answer, data_sets, crop_size=crop_size)
        for head, labels in heads.items()
    )
    return [figures for figures in every if figures is not None]


def answer_with(network: AttributeNetwork) -> Answer:
    """A torch network as something that can be measured; it is left in evaluation mode."""

    def answer(crops: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        network.eval()
        device = next(network.parameters()).device
        with torch.inference_mode():
            batch = torch.from_numpy(crops).to(device, memory_format=torch.channels_last)
            logits = network.logits(batch)
        return {head: torch.softmax(logits[head], dim=1).cpu().numpy() for head in network.heads}

    return answer
