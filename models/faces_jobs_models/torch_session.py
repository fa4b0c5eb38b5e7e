"""One classifier network run by torch, from its safetensors file: the CUDA side."""

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

# Of a run on a GPU, which takes no longer for these than for one.
_LEAST_CROPS = 32


class TorchSession:
    """Loads on the given device."""

    def __init__(self, record: ModelRecord, *, device: Device) -> None:
        network = build_network(record.heads, record.network)
        load_weights(
            network,
            record,
            advice="Export the model again so that file and record belong together.",
        )
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._ends = np.cumsum([len(labels) for labels in record.heads.values()])[:-1]
        self._replayed = ReplayedNetwork(
            self._forward, self._device, min_batch=_LEAST_CROPS if device == "cuda" else 1
        )

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, size, size) float32 BGR 0..255 to (n, labels) probabilities, one array a head."""
        return self.infer(torch.from_numpy(batch))

    @torch.inference_mode()
    def infer(self, crops: Tensor) -> Sequence[NDArray[np.float32]]:
        """As `run`, of crops that may be on the device already."""
        [together] = self._replayed(crops.to(self._device))
        return np.split(together.cpu().numpy(), self._ends, axis=1)

    def _forward(self, crops: Tensor) -> list[Tensor]:
        # One copy for all heads: each would wait for the device by itself.
        return [torch.cat(self._network(crops), dim=1)]
