"""Opens the detector, cropper and classifiers on one device, which share its copies of frames."""

from __future__ import annotations

import torch

from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.registry import family_of
from faces_jobs_models.device import Device
from faces_jobs_models.on_device.classifier import DeviceClassifier
from faces_jobs_models.on_device.cropper import DeviceCropper
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.torch_session import TorchSession
from faces_jobs_models.weights import ModelRecord


class DeviceNetworks:
    """The networks on one device."""

    def __init__(self, device: Device) -> None:
        self._device: Device = device
        self._pictures = DevicePictures(torch.device(device))

    def detector(self, record: ModelRecord, options: DetectorOptions) -> BatchedDetector:
        """Open the detector of a record.

        Raises:
            ModelError: its weights belong to another network.
        """
        return family_of(record).on_device(
            record, options, device=self._device, pictures=self._pictures
        )

    def classifier(
        self, record: ModelRecord, *, crops_a_run: int | None = None
    ) -> DeviceClassifier:
        """Open the classifier of a record.

        Raises:
            ModelError: its weights belong to another network.
        """
        session = TorchSession(record, device=self._device)
        sha256 = record.files["safetensors"].sha256
        return DeviceClassifier(
            session, record, self._pictures, sha256=sha256, crops_a_run=crops_a_run
        )

    def cropper(self) -> DeviceCropper:
        """Return a cropper that uses the detector's copies of the frames."""
        return DeviceCropper(self._pictures)
