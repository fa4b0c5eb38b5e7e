"""The grid detector where the frames are: shrinking, network, decoding and suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faces_jobs.pipeline.values import Detections, Picture
from faces_jobs_models.detector.decode import LARGEST_LOG_SIZE
from faces_jobs_models.detector.grid_detector import GridDetector
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS, STRIDES
from faces_jobs_models.detector.torch_network import TorchGridNetwork
from faces_jobs_models.detector.working_batch import WorkingSize
from faces_jobs_models.on_device.pictures import DevicePictures
from faces_jobs_models.on_device.shrinking import shrink_all
from faces_jobs_models.on_device.suppression import keep_best_on_device
from faces_jobs_models.weights import ModelRecord


class DeviceGridDetector(GridDetector):
    """A grid detector that looks at the pictures' copies on the device.

    It answers as `GridDetector` does, up to what the device's arithmetic rounds.
    """

    def __init__(
        self,
        network: TorchGridNetwork,
        record: ModelRecord,
        options: DetectorOptions,
        *,
        sha256: str,
        pictures: DevicePictures,
    ) -> None:
        super().__init__(network, record, options, sha256=sha256)
        self._on_device = network
        self._pictures = pictures

    @torch.inference_mode()
    def _detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        height, width = pictures_bgr[0].shape[:2]
        size = WorkingSize.of(width, height, longest_side=self._options.longest_side)
        frames = torch.stack(self._pictures.of(pictures_bgr))
        inner = shrink_all(frames, size.inner_width, size.inner_height)
        # The network of the CPU sees whole numbers there.
        right, below = size.outer_width - size.inner_width, size.outer_height - size.inner_height
        outputs = self._on_device.answer(functional.pad(inner.round(), (0, right, 0, below)))
        cls, obj, bbox, kps = (
            torch.cat([outputs[kind * len(STRIDES) + level] for level in range(len(STRIDES))], 1)
            for kind in range(4)
        )  # each (n, cells of all levels, channels)
        scores = (cls * obj)[..., 0].sqrt()
        cells = _Cells.of(size, scores.device)
        return [
            self._decode(scores[index], bbox[index], kps[index], cells)
            for index in range(len(pictures_bgr))
        ]

    def _decode(self, scores: Tensor, bbox: Tensor, kps: Tensor, cells: _Cells) -> Detections:
        options = self._options
        # Logarithms and points are only worked out for the few cells that may be a face.
        maybe = torch.nonzero(scores >= options.lowest_score)[:, 0]
        order = torch.argsort(scores[maybe], descending=True, stable=True)
        maybe = maybe[order[: options.most_faces * 4]]
        corner, stride = cells.corner[maybe], cells.stride[maybe]
        centre = (corner + bbox[maybe, :2]) * stride
        half = bbox[maybe, 2:].clamp(max=LARGEST_LOG_SIZE).exp() * (stride / 2)
        points = (kps[maybe].reshape(-1, LANDMARKS, 2) + corner[:, None]) * stride[:, None]
        low = torch.minimum(((centre - half) / cells.scale_xy).clamp(min=0), cells.limit_xy)
        high = torch.minimum(((centre + half) / cells.scale_xy).clamp(min=0), cells.limit_xy)
        boxes = torch.cat([low, high], dim=1)
        whole = (high - low >= 1).all(dim=1)
        boxes, points, scores = boxes[whole], points[whole], scores[maybe][whole]
        kept = torch.nonzero(keep_best_on_device(boxes, options.overlap))[: options.most_faces, 0]
        return Detections(
            boxes_xyxy=boxes[kept].cpu().numpy(),
            scores=np.minimum(scores[kept].cpu().numpy(), np.float32(1)),
            landmarks=(points[kept] / cells.scale_xy).cpu().numpy(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Where the cells of all levels lie in the input, and how that lies in the picture."""

    corner: Tensor  # (cells, 2) column and row in its level
    stride: Tensor  # (cells, 1)
    scale_xy: Tensor  # (2,) pixels of the input in one of the picture
    limit_xy: Tensor  # (2,) width and height of the picture

    @classmethod
    def of(cls, size: WorkingSize, device: torch.device) -> Self:
        corners, strides = [], []
        for stride in STRIDES:
            rows = torch.arange(size.outer_height // stride, device=device)
            columns = torch.arange(size.outer_width // stride, device=device)
            grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
            corners.append(grid.reshape(-1, 2).float())
            strides.append(torch.full((len(corners[-1]), 1), float(stride), device=device))
        return cls(
            torch.cat(corners),
            torch.cat(strides),
            torch.tensor(size.scale_xy, device=device),
            torch.tensor((size.width, size.height), device=device),
        )
