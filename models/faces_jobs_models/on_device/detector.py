"""The base class of detectors on the device: resizes pictures, runs the network, decodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.batched import BatchedDetector
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.on_device.area_resize import resize_area
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.weights import ModelRecord


class Network(Protocol):
    """The network without its pre- and post-processing."""

    def infer(self, batch: Tensor) -> list[Tensor]:
        """(n, 3, h, w) float32 BGR 0..255, sides multiples of 32 -> float32, on the device."""


class DeviceDetector(BatchedDetector):
    """A detector that runs on the pictures' copies on the device.

    Its detections are those of the detector on the CPU, up to rounding.
    """

    def __init__(
        self,
        network: Network,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        sha256: str,
        pictures: DevicePictures,
    ) -> None:
        super().__init__(record, options, sha256=sha256)
        self._network = network
        self._pictures = pictures

    @torch.inference_mode()
    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        height, width = pictures_bgr[0].shape[:2]
        size = WorkingSize.of(width, height, max_side=self.options.max_side)
        frames = torch.stack(self._pictures.copies_of(pictures_bgr))
        resized = resize_area(frames, size.resized_width, size.resized_height)
        right = size.padded_width - size.resized_width
        bottom = size.padded_height - size.resized_height
        outputs = self._network.infer(functional.pad(resized, (0, right, 0, bottom)))
        return self._decode(outputs, size)

    @abstractmethod
    def _decode(self, outputs: Sequence[Tensor], size: WorkingSize) -> list[Detections]:
        """Decode the network's outputs to the faces of each picture."""
