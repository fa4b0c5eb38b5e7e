"""CenterFace on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.best_faces import MAX_LOG_SIZE
from faces_jobs_models.detector.centerface.detector import STRIDE
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.outputs import LANDMARKS
from faces_jobs_models.on_device.best_faces import best_cells, best_faces, values_at
from faces_jobs_models.on_device.detector import DeviceDetector


class DeviceCenterFace(DeviceDetector):
    """The counterpart of `CenterFaceDetector`; its network returns the file's four maps."""

    def _decode(self, outputs: Sequence[Tensor], size: WorkingSize) -> list[Detections]:
        heat, sizes, offsets, landmarks = (
            output.flatten(2).transpose(1, 2) for output in outputs
        )  # each (n, cells, channels); pairs are (y, x), hence the flips
        scores, cells = best_cells(heat[..., 0], self.options)  # (n, k) each
        columns = size.padded_width // STRIDE
        corner = torch.stack([cells % columns, cells // columns], dim=2)  # (n, k, 2)
        box_wh = values_at(sizes, cells).flip(2).clamp(max=MAX_LOG_SIZE).exp() * STRIDE
        centre = (corner + values_at(offsets, cells).flip(2) + 0.5) * STRIDE  # (n, k, 2)
        top_left = centre - box_wh / 2
        points = values_at(landmarks, cells).reshape(*cells.shape, LANDMARKS, 2).flip(3)
        return best_faces(
            scores,
            torch.cat([top_left, top_left + box_wh], dim=2),
            points * box_wh[:, :, None] + top_left[:, :, None],
            size=size,
            options=self.options,
        )
