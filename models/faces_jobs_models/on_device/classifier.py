"""A classifier on the device, which uses the crops that `DeviceCropper` left there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture
from faces_jobs_models.classifier import AttributeClassifier
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.torch_session import TorchSession
from faces_jobs_models.weights import ModelRecord

_CROPS_A_RUN = 256


class DeviceClassifier(AttributeClassifier):
    """The classifier that a record describes, run by torch on the device."""

    def __init__(
        self,
        session: TorchSession,
        record: ModelRecord,
        pictures: DevicePictures,
        *,
        sha256: str,
        crops_a_run: int | None = None,
    ) -> None:
        super().__init__(session, record, sha256=sha256, crops_a_run=crops_a_run or _CROPS_A_RUN)
        self._network = session
        self._pictures = pictures

    def _predict(self, crops_bgr: Sequence[Picture]) -> Sequence[NDArray[np.float32]]:
        expected = (self.crop_size, self.crop_size, 3)
        if any(crop.shape != expected for crop in crops_bgr):
            return super()._predict(crops_bgr)  # converts them on the CPU
        crops = torch.stack(self._pictures.copies_of(crops_bgr))
        return self._network.infer(crops.permute(0, 3, 1, 2).float())
