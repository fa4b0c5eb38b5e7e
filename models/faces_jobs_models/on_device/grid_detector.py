"""The grid detector on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.best_faces import MAX_LOG_SIZE
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.outputs import LANDMARKS, STRIDES
from faces_jobs_models.on_device.best_faces import best_cells, best_faces, values_at
from faces_jobs_models.on_device.detector import DeviceDetector


class DeviceGridDetector(DeviceDetector):
    """The counterpart of `GridDetector`; its network returns the outputs of `OUTPUT_NAMES`."""

    def _decode(self, outputs: Sequence[Tensor], size: WorkingSize) -> list[Detections]:
        cls, obj, bbox, kps = (
            torch.cat([outputs[kind * len(STRIDES) + level] for level in range(len(STRIDES))], 1)
            for kind in range(4)
        )  # each (n, cells of all levels, channels)
        scores, cells = best_cells((cls * obj)[..., 0].sqrt(), self.options)  # (n, k) each
        # Boxes and points are only computed for the few cells above the threshold.
        grid = _Grid.of(size, scores.device)
        corner, stride = grid.corner[cells], grid.stride[cells]  # (n, k, 2), (n, k, 1)
        bbox, kps = values_at(bbox, cells), values_at(kps, cells)  # (n, k, 4), (n, k, 10)
        centre = (corner + bbox[..., :2]) * stride  # (n, k, 2)
        half = bbox[..., 2:].clamp(max=MAX_LOG_SIZE).exp() * (stride / 2)  # (n, k, 2)
        points = kps.reshape(*cells.shape, LANDMARKS, 2)
        return best_faces(
            scores,
            torch.cat([centre - half, centre + half], dim=2),
            (points + corner[:, :, None]) * stride[:, :, None],
            size=size,
            options=self.options,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Position and stride of the cells of all levels."""

    corner: Tensor  # (cells, 2) column and row in the level
    stride: Tensor  # (cells, 1)

    @classmethod
    def of(cls, size: WorkingSize, device: torch.device) -> Self:
        corners, strides = [], []
        for stride in STRIDES:
            rows = torch.arange(size.padded_height // stride, device=device)
            columns = torch.arange(size.padded_width // stride, device=device)
            grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
            corners.append(grid.reshape(-1, 2).float())
            strides.append(torch.full((len(corners[-1]), 1), float(stride), device=device))
        return cls(torch.cat(corners), torch.cat(strides))
