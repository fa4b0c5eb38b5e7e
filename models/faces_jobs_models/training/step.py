"""One step of a training: loss, gradients, update. On a GPU it is recorded once and replayed.

A small network's step is some hundred kernels, which a GPU runs in less time than a processor takes
to launch them. As a CUDA graph they are launched at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faces_jobs_models.training.feed import Batch

_LARGEST_GRADIENT = 5.0  # its norm; a rare bad batch would undo an hour
_WARM_UP = 3  # steps before the recording: they plan kernels and make the optimizer's memory

LossFunction = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""(n, c, size, size) crops, head -> (n, labels) to learn; to a number."""
Step = Callable[[Batch], Tensor]
"""Learns from a batch; gives its loss, on the device."""


def make_train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: LossFunction,
    *,
    device: torch.device,
) -> Step:
    """What is called with each batch. All batches of a training have the same size.

    Args:
        network: what learns.
        optimizer: of its weights; on CUDA made with `capturable`, its rates being tensors.
        loss_of: asks the network.
        device: of all three.
    """

    def update(crops: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(crops, targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
        optimizer.step()
        return loss.detach()

    if device.type == "cuda":
        return _RecordedStep(update)
    return lambda batch: update(batch.crops, batch.targets)


class _RecordedStep:
    def __init__(self, update: LossFunction) -> None:
        self._update = update
        self._apart = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        self._done = 0
        self._recording: _Recording | None = None

    def __call__(self, batch: Batch) -> Tensor:
        if self._done < _WARM_UP:
            self._done += 1
            return self._unrecorded(batch)
        if self._recording is None:
            self._recording = self._record(batch)
        return self._recording.learn(batch)

    def _unrecorded(self, batch: Batch) -> Tensor:
        # Gradients must not be bound to the stream that everything else runs on.
        here = torch.cuda.current_stream()
        self._apart.wait_stream(here)
        with torch.cuda.stream(self._apart):
            loss = self._update(batch.crops, batch.targets)
        here.wait_stream(self._apart)
        return loss

    def _record(self, batch: Batch) -> _Recording:
        # Recording runs nothing: the batch is learnt from when it is replayed.
        place = Batch(
            batch.crops.clone(), {head: target.clone() for head, target in batch.targets.items()}
        )
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._update(place.crops, place.targets)
        return _Recording(graph, place, loss)


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """What was recorded reads its batch in one place, and leaves the loss in another."""

    graph: torch.cuda.CUDAGraph
    place: Batch
    loss: Tensor

    def learn(self, batch: Batch) -> Tensor:
        self.place.crops.copy_(batch.crops)
        for head, target in self.place.targets.items():
            target.copy_(batch.targets[head])
        self.graph.replay()
        return self.loss.clone()
