"""CenterFace where the frames are."""

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
    """Answers as `CenterFaceDetector` does; its network's outputs are the file's four maps."""

    def _decode(self, outputs: Sequence[Tensor], size: WorkingSize) -> list[Detections]:
        heat, sizes, offsets, landmarks = (
            one.flatten(2).transpose(1, 2) for one in outputs
        )  # each (n, cells, channels); pairs are (down, across), boxes are (x, y)
        scores, cells = best_cells(heat[..., 0], self._options)
        columns = size.padded_width // STRIDE
        corner = torch.stack([cells % columns, cells // columns], dim=2)
        length = values_at(sizes, cells).flip(2).clamp(max=MAX_LOG_SIZE).exp() * STRIDE
        centre = (corner + values_at(offsets, cells).flip(2) + 0.5) * STRIDE
        low = centre - length / 2
        points = values_at(landmarks, cells).reshape(*cells.shape, LANDMARKS, 2).flip(3)
        return best_faces(
            scores,
            torch.cat([low, low + length], dim=2),
            points * length[:, :, None] + low[:, :, None],
            size=size,
            options=self._options,
        )
