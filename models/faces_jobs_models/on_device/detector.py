"""What a detector on the device does alike for any network: shrink, ask, suppress, bring back."""

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
        """(n, 3, h, w) float32 BGR 0..255, multiples of 32, to float32 tensors that stay there."""


class DeviceDetector(BatchedDetector):
    """A detector that looks at the pictures' copies on the device.

    It answers as that of the CPU does, up to what the device's arithmetic rounds.
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
        size = WorkingSize.of(width, height, max_side=self._options.max_side)
        frames = torch.stack(self._pictures.copies_of(pictures_bgr))
        inner = resize_area(frames, size.resized_width, size.resized_height)
        right, below = (
            size.padded_width - size.resized_width,
            size.padded_height - size.resized_height,
        )
        outputs = self._network.infer(functional.pad(inner, (0, right, 0, below)))
        return self._decode(outputs, size)

    @abstractmethod
    def _decode(self, outputs: Sequence[Tensor], size: WorkingSize) -> list[Detections]:
        """What the network answered, to the faces of each picture."""
