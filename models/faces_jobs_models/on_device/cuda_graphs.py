"""A network whose kernels are recorded once for inputs of a size, and replayed from then on.

A GPU does a small network's hundred kernels in less time than a processor takes to launch them.
And cuDNN plans each convolution anew in every thread that runs it, which takes seconds in all: the
lanes of every video are new threads. A CUDA graph is planned once, and replayed by any of them.

Kernels are those of float32, without the ten bits that cuDNN takes of it where it may: with them,
as in half precision, one label in a hundred is another than on the CPU, and decoding takes longer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

# Sizes of frames, times numbers of them: beyond so many the one that was not used longest goes.
_MAX_GRAPHS = 24
_WARM_UP = 2  # runs before the recording: the first plans and loads kernels
# One recording at a time: how cuDNN computes is set for the whole process.
_RECORDING = Lock()

Network = Callable[[Tensor], Sequence[Tensor]]
"""(n, ...) to tensors that begin with n as well; what it makes of one does not depend on others."""


class ReplayedNetwork:
    """Called like the network itself. Safe to share between threads that launch on one stream.

    Fewer inputs than were recorded together are answered by the same recording, its other places
    holding whatever they held: a batch that is not full needs no recording of its own.
    """

    def __init__(
        self,
        network: Network,
        device: torch.device,
        *,
        min_batch: int = 1,
        max_graphs: int = _MAX_GRAPHS,
    ) -> None:
        """Elsewhere than on CUDA the network itself is run, with the same places.

        Args:
            network: what is recorded, on each size that it is first asked about.
            device: where it is.
            min_batch: places of a recording, a power of two.
            max_graphs: recordings that are kept.
        """
        self._network = network
        self._device = device
        self._min_batch = min_batch
        self._max_graphs = max_graphs
        self._lock = Lock()
        self._recordings: OrderedDict[tuple[Hashable, int], _Recording] = OrderedDict()
        # Recordings are never replayed at once, and their answers copied: one memory is enough.
        self._memory = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def __len__(self) -> int:
        """How many recordings there are."""
        return len(self._recordings)

    def __call__(self, batch: Tensor) -> list[Tensor]:
        """The network's answers, as tensors that are the caller's own."""
        with self._lock:
            return self._recording_for(batch).answer(batch)

    def _recording_for(self, batch: Tensor) -> _Recording:
        kind, count = (batch.shape[1:], batch.dtype), len(batch)
        places = [many for known, many in self._recordings if known == kind and many >= count]
        key = kind, min(places, default=max(self._min_batch, 1 << (count - 1).bit_length()))
        if key not in self._recordings:
            self._recordings[key] = self._record(batch.new_zeros(key[1], *batch.shape[1:]))
        self._recordings.move_to_end(key)
        if len(self._recordings) > self._max_graphs:
            self._recordings.popitem(last=False)
        return self._recordings[key]

    def _record(self, given: Tensor) -> _Recording:
        if self._device.type != "cuda":
            return _Recording(given, lambda: self._network(given))
        here, apart = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        graph = torch.cuda.CUDAGraph()
        with _RECORDING, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            apart.wait_stream(here)
            with torch.cuda.stream(apart):
                for _ in range(_WARM_UP):
                    self._network(given)
            # Other threads go on meanwhile, copying frames and cutting faces.
            with torch.cuda.graph(
                graph, pool=self._memory, stream=apart, capture_error_mode="thread_local"
            ):
                answers = self._network(given)
            here.wait_stream(apart)

        def replay() -> Sequence[Tensor]:
            graph.replay()
            return answers

        return _Recording(given, replay)


@dataclass(frozen=True, slots=True, eq=False)
class _Recording:
    """What was recorded reads its input in one place, and leaves its answers in another."""

    given: Tensor
    run: Callable[[], Sequence[Tensor]]

    def answer(self, batch: Tensor) -> list[Tensor]:
        self.given[: len(batch)].copy_(batch)
        return [answer[: len(batch)].clone() for answer in self.run()]
