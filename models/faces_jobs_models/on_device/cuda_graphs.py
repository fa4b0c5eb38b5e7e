"""Captures a network in a CUDA graph for each input shape, and replays it.

A GPU runs the hundred kernels of a small network faster than a CPU launches them. Besides, cuDNN
plans each convolution again in every thread, which takes seconds in total, and the lanes of every
video are new threads. A CUDA graph is planned once, and any thread can replay it.

Kernels compute in float32, not in TF32 (10 bits of mantissa): with TF32, as with half precision,
one label in a hundred differs from the CPU's, and decoding takes longer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

# One for each input shape and batch size; beyond this the least recently used is discarded.
_MAX_GRAPHS = 24
_WARM_UP_RUNS = 2  # before the capture: the first run plans and loads kernels
# One capture at a time: cuDNN's flags are global to the process.
_CAPTURE_LOCK = Lock()

Network = Callable[[Tensor], Sequence[Tensor]]
"""(n, ...) -> tensors of (n, ...), in which each item depends on its own input only."""


class ReplayedNetwork:
    """A network with captured CUDA graphs, called like the network itself.

    Thread-safe if all threads launch on one stream. A batch smaller than the captured one is run
    by the same graph, whose remaining inputs keep their old content: partial batches need no graph
    of their own.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        *,
        min_batch: int = 1,
        max_graphs: int = _MAX_GRAPHS,
    ) -> None:
        """On other devices than CUDA the network itself is run, with the same batch sizes.

        Args:
            network: captured at the first call with each input shape and batch size.
            device: of the network.
            min_batch: smallest captured batch size, a power of two.
            max_graphs: number of graphs that are kept.
        """
        self._network = network
        self._device = device
        self._min_batch = min_batch
        self._max_graphs = max_graphs
        self._lock = Lock()
        self._graphs: OrderedDict[tuple[Hashable, int], _Graph] = OrderedDict()
        # Graphs can share one memory pool: no two replay at once, and their outputs are copied.
        self._memory_pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __len__(self) -> int:
        """Return the number of captured graphs."""
        return len(self._graphs)

    def __call__(self, batch: Tensor) -> list[Tensor]:
        """Run the network; the tensors returned are not overwritten by later calls."""
        with self._lock:
            return self._graph_for(batch).infer(batch)

    def _graph_for(self, batch: Tensor) -> _Graph:
        shape, count = (batch.shape[1:], batch.dtype), len(batch)
        captured = [size for known, size in self._graphs if known == shape and size >= count]
        key = shape, min(captured, default=max(self._min_batch, 1 << (count - 1).bit_length()))
        if key not in self._graphs:
            self._graphs[key] = self._capture(batch.new_zeros(key[1], *batch.shape[1:]))
        self._graphs.move_to_end(key)
        if len(self._graphs) > self._max_graphs:
            self._graphs.popitem(last=False)
        return self._graphs[key]

    def _capture(self, static_input: Tensor) -> _Graph:
        if self._device.type != "cuda":
            return _Graph(static_input, lambda: self._network(static_input))
        current, side = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        graph = torch.cuda.CUDAGraph()
        with _CAPTURE_LOCK, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            side.wait_stream(current)
            with torch.cuda.stream(side):
                for _ in range(_WARM_UP_RUNS):
                    self._network(static_input)
            # Other threads use CUDA meanwhile, to copy frames and crop faces.
            with torch.cuda.graph(
                graph, pool=self._memory_pool, stream=side, capture_error_mode="thread_local"
            ):
                static_outputs = self._network(static_input)
            current.wait_stream(side)

        def replay() -> Sequence[Tensor]:
            graph.replay()
            return static_outputs

        return _Graph(static_input, replay)


@dataclass(frozen=True, slots=True, eq=False)
class _Graph:
    """A captured graph: it reads its input and writes its outputs at fixed addresses."""

    static_input: Tensor
    run: Callable[[], Sequence[Tensor]]

    def infer(self, batch: Tensor) -> list[Tensor]:
        self.static_input[: len(batch)].copy_(batch)
        return [output[: len(batch)].clone() for output in self.run()]
