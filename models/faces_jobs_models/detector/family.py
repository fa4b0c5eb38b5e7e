"""What has to be known of an architecture to open, and to verify, detectors of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.stages import Detector
from faces_jobs_models.device import Device
from faces_jobs_models.weights import ModelRecord

if TYPE_CHECKING:
    from faces_jobs_models.detector.options import DetectorOptions
    from faces_jobs_models.on_device.pictures import DevicePictures

Outputs = Sequence[NDArray[np.float32]]
"""What a network says of a batch: one array an output."""


@dataclass(frozen=True, slots=True)
class DetectorFamily(ABC):
    """Detectors of one architecture. What runs them is imported when one is opened."""

    files: tuple[str, ...]
    """Formats that their records have to name."""
    iou_threshold: float
    """See `DetectorOptions`."""

    @abstractmethod
    def on_cpu(
        self, record: ModelRecord, options: DetectorOptions, *, threads: int = 1
    ) -> Detector:
        """The detector of a record that was verified, run by onnxruntime.

        Raises:
            ModelError: its file is another network's.
        """

    @abstractmethod
    def on_device(
        self,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        device: Device,
        pictures: DevicePictures,
    ) -> Detector:
        """The same, run by torch where the copies of the pictures are.

        Raises:
            ModelError: its weights are another network's.
        """

    @abstractmethod
    def onnx_and_torch_outputs(
        self, record: ModelRecord, batch_bgr: NDArray[np.float32]
    ) -> tuple[Outputs, Outputs]:
        """What onnxruntime and torch say of (n, 3, h, w) 0..255, both from a record's files.

        Raises:
            ModelError: a file is another network's.
        """
