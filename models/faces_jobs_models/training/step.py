"""One training step: loss, gradients, update. On a GPU it is captured as a CUDA graph and replayed.

The step of a small network consists of some hundred kernels, which a GPU runs faster than the CPU
can launch them. A CUDA graph launches all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from faces_jobs_models.training.feed import Batch

_MAX_GRADIENT_NORM = 5.0  # clipped, since one bad batch could undo an hour of training
_WARMUP_STEPS = 3  # before the capture: they select kernels and allocate the optimizer's state

LossFunction = Callable[[Tensor, Mapping[str, Tensor]], Tensor]
"""(n, c, size, size) crops and head -> (n, labels) targets -> scalar loss."""
TrainStep = Callable[[Batch], Tensor]
"""Updates the network from a batch and returns its loss, on the device."""


def make_train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_function: LossFunction,
    *,
    device: torch.device,
) -> TrainStep:
    """Return the function to call with each batch. All batches must have the same size.

    Args:
        network: the network to train.
        optimizer: of its weights; on CUDA it must be `capturable`, with tensors as learning rates.
        loss_function: calls the network.
        device: where network, optimizer and batches are.
    """

    def update(crops: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(crops, targets)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        nn.utils.clip_grad_norm_(network.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        return loss.detach()

    if device.type == "cuda":
        return _GraphedStep(update)
    return lambda batch: update(batch.crops, batch.targets)


class _GraphedStep:
    """Runs the first steps eagerly, then captures one and replays it."""

    def __init__(self, update: LossFunction) -> None:
        self._update = update
        self._warmup_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        self._eager_steps = 0
        self._captured: _CapturedStep | None = None

    def __call__(self, batch: Batch) -> Tensor:
        if self._eager_steps < _WARMUP_STEPS:
            self._eager_steps += 1
            return self._run_eagerly(batch)
        if self._captured is None:
            self._captured = self._capture(batch)
        return self._captured.replay(batch)

    def _run_eagerly(self, batch: Batch) -> Tensor:
        # On a side stream, since gradients must not be bound to the default one before a capture.
        current = torch.cuda.current_stream()
        self._warmup_stream.wait_stream(current)
        with torch.cuda.stream(self._warmup_stream):
            loss = self._update(batch.crops, batch.targets)
        current.wait_stream(self._warmup_stream)
        return loss

    def _capture(self, batch: Batch) -> _CapturedStep:
        # A capture runs nothing: the batch is trained on in the first replay.
        static = Batch(
            batch.crops.clone(), {head: target.clone() for head, target in batch.targets.items()}
        )
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self._update(static.crops, static.targets)
        return _CapturedStep(graph, static, loss)


@dataclass(frozen=True, slots=True, eq=False)
class _CapturedStep:
    """A CUDA graph with the tensors that it reads its batch from and writes its loss to."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor

    def replay(self, batch: Batch) -> Tensor:
        self.batch.crops.copy_(batch.crops)
        for head, target in self.batch.targets.items():
            target.copy_(batch.targets[head])
        self.graph.replay()
        return self.loss.clone()
