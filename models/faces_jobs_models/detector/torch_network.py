"""The grid detector's network run by torch from its safetensors file, as on CUDA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faces_jobs.errors import ModelError
from faces_jobs_models.detector.yunet import YuNet, YuNetConfig
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.cuda_graphs import ReplayedNetwork
from faces_jobs_models.torch_weights import load_weights
from faces_jobs_models.weights import RECORD_NAME, ModelRecord


class TorchGridNetwork:
    """A grid detector's network on one device."""

    def __init__(self, record: ModelRecord, *, device: Device) -> None:
        try:
            config = YuNetConfig.from_options(record.network)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"The network options in {record.folder / RECORD_NAME} are invalid "
                f"({type(error).__name__}: {error}). Export or fetch the detector again."
            ) from error
        network = YuNet(config)
        load_weights(
            network,
            record,
            advice="Export or fetch the detector again, so that file and record match.",
        )
        self._device = torch.device(device)
        self._replayed = ReplayedNetwork(network.to(self._device).eval(), self._device)

    def run(self, batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """(n, 3, h, w) float32 BGR 0..255 -> the arrays of `OUTPUT_NAMES`."""
        return [output.cpu().numpy() for output in self.infer(torch.from_numpy(batch))]

    @torch.inference_mode()
    def infer(self, batch: Tensor) -> list[Tensor]:
        """Like `run`, for pictures that may already be on the device; the outputs stay there."""
        return self._replayed(batch.to(self._device))
