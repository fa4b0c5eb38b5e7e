"""Runs a network over the held-out crops of the prepared data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.training.augment import middle
from faces_jobs_models.training.figures import Figures, figures_of
from faces_jobs_models.training.prepare import Prepared

_BATCH = 256

Answer = Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]
"""(n, channels, size, size) float32 0..255 -> head to (n, labels) probabilities."""


def evaluate(
    model: str,
    heads: Mapping[str, Sequence[str]],
    answer: Answer,
    data_sets: Sequence[Prepared],
    *,
    crop_size: int,
) -> list[Figures]:
    """Figures of each head on each data set that knows it."""
    every = []
    for data in data_sets:
        rows = np.nonzero(data.held_out)[0]
        if not len(rows):
            continue
        said: dict[str, list[NDArray[np.int64]]] = {head: [] for head in heads}
        for start in range(0, len(rows), _BATCH):
            crops = torch.from_numpy(np.asarray(data.crops[rows[start : start + _BATCH]]))
            answers = answer(middle(crops, size=crop_size).numpy())
            for head in heads:
                said[head].append(answers[head].argmax(axis=1))
        for head, labels in heads.items():
            figures = figures_of(
                model=model,
                head=head,
                data_set=data.name,
                labels=labels,
                truth=data.truth[head][rows],
                answers=np.concatenate(said[head]),
            )
            if figures is not None:
                every.append(figures)
    return every


def answer_of_session(session: OnnxSession) -> Answer:
    """An exported network as something that can be measured."""

    def answer(crops: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        colour = np.repeat(crops, 3, axis=1) if crops.shape[1] == 1 else crops
        return dict(zip(session.output_names, session.run(colour), strict=True))

    return answer


def answer_with(network: AttributeNetwork) -> Answer:
    """A torch network as something that can be measured; it is left in evaluation mode."""

    def answer(crops: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        network.eval()
        with torch.inference_mode():
            batch = torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)
            logits = network.logits(batch)
        return {head: torch.softmax(logits[head], dim=1).numpy() for head in network.heads}

    return answer
