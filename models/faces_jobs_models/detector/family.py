"""The interface of a detector architecture: how its detectors are opened and verified."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.device import Device
from faces_jobs_models.weights import ModelRecord

if TYPE_CHECKING:
    from faces_jobs_models.detector.batched import BatchedDetector
    from faces_jobs_models.detector.options import DetectorOptions
    from faces_jobs_models.on_device.pictures import DevicePictures

Outputs = Sequence[NDArray[np.float32]]
"""A network's outputs for a batch, one array each."""


@dataclass(frozen=True, slots=True)
class DetectorFamily(ABC):
    """Detectors of one architecture. Their runtime is imported when one is opened."""

    files: tuple[str, ...]
    """Formats that their records must name."""
    iou_threshold: float
    """See `DetectorOptions`."""

    @abstractmethod
    def on_cpu(
        self, record: ModelRecord, options: DetectorOptions, *, threads: int = 1
    ) -> BatchedDetector:
        """Open the detector of a verified record, run by onnxruntime.

        Raises:
            ModelError: its file holds another network.
        """

    @abstractmethod
    def on_device(
        self,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        device: Device,
        pictures: DevicePictures,
    ) -> BatchedDetector:
        """Open the detector of a verified record, run by torch on the device of `pictures`.

        Raises:
            ModelError: its file holds another network.
        """

    @abstractmethod
    def onnx_and_torch_outputs(
        self, record: ModelRecord, batch_bgr: NDArray[np.float32]
    ) -> tuple[Outputs, Outputs]:
        """Run a record's files with onnxruntime and with torch on (n, 3, h, w) BGR 0..255.

        Raises:
            ModelError: a file holds another network.
        """
