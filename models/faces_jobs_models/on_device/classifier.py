"""The three classifiers on crops that are on the device already, and the crops themselves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import overload

import torch
from torch import Tensor

from faces_jobs.pipeline.values import Boxes, Opinion, Picture
from faces_jobs_models.classifier import AttributeClassifier
from faces_jobs_models.on_device.crops import crop_on_device
from faces_jobs_models.on_device.frames import DeviceFrames
from faces_jobs_models.torch_session import TorchSession
from faces_jobs_models.weights import ModelRecord

_LARGEST_BATCH = 256


class DeviceCrops(Sequence[Picture]):
    """Crops on the device. Whoever asks for one as a picture gets all of them copied, once."""

    def __init__(self, crops: Tensor) -> None:
        """`crops`: (n, 3, size, size) float32, whole numbers 0..255, BGR."""
        self.crops = crops

    def __len__(self) -> int:
        return len(self.crops)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        return self._pictures[index]

    @cached_property
    def _pictures(self) -> list[Picture]:
        return list(self.crops.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy())


class DeviceCropper:
    """Cuts faces out of frames where these are. Implements `Cropper`."""

    def __init__(self, frames: DeviceFrames) -> None:
        self._frames = frames

    @torch.inference_mode()
    def __call__(
        self,
        pictures_bgr: Sequence[Picture],
        boxes_xyxy: Sequence[Boxes],
        *,
        scale: float,
        size: int,
    ) -> DeviceCrops:
        """The crops of each picture's boxes, picture by picture."""
        frames = self._frames.of(pictures_bgr)
        return DeviceCrops(crop_on_device(frames, boxes_xyxy, scale=scale, size=size))


class DeviceClassifier(AttributeClassifier):
    """A classifier that takes crops from the device as well as pictures."""

    def __init__(self, session: TorchSession, record: ModelRecord, *, sha256: str) -> None:
        super().__init__(session, record, sha256=sha256, largest_batch=_LARGEST_BATCH)
        self._network = session

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Probabilities for each crop; as `AttributeClassifier.classify`."""
        if not isinstance(crops_bgr, DeviceCrops):
            return super().classify(crops_bgr)
        opinions: list[Opinion] = []
        for crops in torch.split(crops_bgr.crops, _LARGEST_BATCH):
            outputs = self._network.answer(crops)
            opinions.extend(
                dict(zip(self.heads, rows, strict=True)) for rows in zip(*outputs, strict=True)
            )
        return opinions
