"""A classifier network run by torch from its safetensors file, as on CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs_models.device import Device
from faces_jobs_models.networks import build_network
from faces_jobs_models.on_device.cuda_graphs import ReplayedNetwork
from faces_jobs_models.torch_weights import load_weights
from faces_jobs_models.weights import ModelRecord

# On a GPU a run of this many crops takes as long as a run of one.
_MIN_CROPS = 32


class TorchSession:
    """A classifier network on one device. Implements `Session`."""

    def __init__(self, record: ModelRecord, *, device: Device) -> None:
        network = build_network(record.heads, record.network)
        load_weights(
            network,
            record,
            advice="Export the model again so that file and record match.",
        )
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        # Where the concatenated labels of the heads are split.
        self._ends = np.cumsum([len(labels) for labels in record.heads.values()])[:-1]
        self._replayed = ReplayedNetwork(
            self._forward, self._device, min_batch=_MIN_CROPS if device == "cuda" else 1
        )

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, size, size) float32 BGR 0..255 -> (n, labels) probabilities of each head."""
        return self.infer(torch.from_numpy(batch))

    @torch.inference_mode()
    def infer(self, crops: Tensor) -> Sequence[NDArray[np.float32]]:
        """Like `run`, for crops that may already be on the device."""
        [probabilities] = self._replayed(crops.to(self._device))  # (n, labels of all heads)
        return np.split(probabilities.cpu().numpy(), self._ends, axis=1)

    def _forward(self, crops: Tensor) -> list[Tensor]:
        # Concatenated, so that the host waits for the device once and not for each head.
        return [torch.cat(self._network(crops), dim=1)]
