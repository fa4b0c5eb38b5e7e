"""Opens grid detectors: our own, and the official YuNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.detector.family import DetectorFamily, Outputs
from faces_jobs_models.detector.outputs import OUTPUT_NAMES
from faces_jobs_models.device import Device
from faces_jobs_models.weights import ModelRecord

if TYPE_CHECKING:
    from faces_jobs_models.detector.batched import BatchedDetector
    from faces_jobs_models.detector.options import DetectorOptions
    from faces_jobs_models.on_device.pictures import DevicePictures


class GridFamily(DetectorFamily):
    """Detectors with the same weights in two files, ONNX and safetensors."""

    __slots__ = ()

    def on_cpu(
        self, record: ModelRecord, options: DetectorOptions, *, threads: int = 1
    ) -> BatchedDetector:
        """As `DetectorFamily.on_cpu`."""
        from faces_jobs_models.detector.grid_detector import GridDetector  # noqa: PLC0415 - cv2
        from faces_jobs_models.onnx_session import open_session  # noqa: PLC0415 - onnxruntime

        session = open_session(record, outputs=OUTPUT_NAMES, threads=threads)
        return GridDetector(session, record, options, sha256=record.files["onnx"].sha256)

    def on_device(
        self,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        device: Device,
        pictures: DevicePictures,
    ) -> BatchedDetector:
        """As `DetectorFamily.on_device`."""
        from faces_jobs_models.detector.torch_network import (  # noqa: PLC0415 - loads torch
            TorchGridNetwork,
        )
        from faces_jobs_models.on_device.grid_detector import (  # noqa: PLC0415 - loads torch
            DeviceGridDetector,
        )

        return DeviceGridDetector(
            TorchGridNetwork(record, device=device),
            record,
            options,
            sha256=record.files["safetensors"].sha256,
            pictures=pictures,
        )

    def onnx_and_torch_outputs(
        self, record: ModelRecord, batch_bgr: NDArray[np.float32]
    ) -> tuple[Outputs, Outputs]:
        """As `DetectorFamily.onnx_and_torch_outputs`."""
        from faces_jobs_models.detector.torch_network import (  # noqa: PLC0415 - loads torch
            TorchGridNetwork,
        )
        from faces_jobs_models.onnx_session import open_session  # noqa: PLC0415 - onnxruntime

        session = open_session(record, outputs=OUTPUT_NAMES)
        return session.run(batch_bgr), TorchGridNetwork(record, device="cpu").run(batch_bgr)
