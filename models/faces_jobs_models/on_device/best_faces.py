"""Of the cells that may be a face, those that are one: all pictures of a run together.

The host waits for the device three times a run and once a round of suppression: for how many
cells of a picture may be a face at most, whether suppression has settled, how many faces are left,
and for the faces themselves.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.best_faces import CANDIDATES_PER_FACE
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS
from faces_jobs_models.on_device.suppression import nms_on_device


def best_cells(scores: Tensor, options: DetectorOptions) -> tuple[Tensor, Tensor]:
    """The cells of each picture that may be a face, best first.

    Args:
        scores: (n, cells).
        options: thresholds.

    Returns:
        Scores and cells, both (n, k): k is what the picture with most of them has, so that in
        the others the last ones score less than what is asked for.
    """
    most = int((scores >= options.min_score).sum(dim=1).max())
    ordered, cells = scores.sort(dim=1, descending=True, stable=True)
    k = min(most, options.max_faces * CANDIDATES_PER_FACE)
    return ordered[:, :k], cells[:, :k]


def values_at(values: Tensor, cells: Tensor) -> Tensor:
    """(n, cells, channels) at (n, k) cells -> (n, k, channels)."""
    return values.gather(1, cells[..., None].expand(-1, -1, values.shape[2]))


def best_faces(
    scores: Tensor,
    boxes_xyxy: Tensor,
    points: Tensor,
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> list[Detections]:
    """As `faces_jobs_models.detector.best_faces`, of all pictures of a run.

    Args:
        scores: (n, k) of each candidate, best first.
        boxes_xyxy: (n, k, 4) pixels of the network's input.
        points: (n, k, 5, 2) likewise.
        size: how the pictures lie in the network's input.
        options: thresholds.
    """
    # Numbers of the host go into the kernels themselves: as tensors they would be copied first.
    limits = size.width, size.height, size.width, size.height
    boxes = torch.stack(
        [
            (side / scale).clamp(0, limit)
            for side, scale, limit in zip(
                boxes_xyxy.unbind(dim=2), size.scale_xy * 2, limits, strict=True
            )
        ],
        dim=2,
    )
    whole = (boxes[..., 2:] - boxes[..., :2] >= 1).all(dim=2) & (scores >= options.min_score)
    # What is no candidate has no area, and so beats nobody.
    kept = whole & nms_on_device(boxes * whole[..., None], options.iou_threshold)
    kept &= kept.cumsum(dim=1) <= options.max_faces
    picture, rank = torch.nonzero(kept, as_tuple=True)
    x, y = points[picture, rank].unbind(dim=2)
    across, down = size.scale_xy
    faces = torch.cat(
        [
            picture[:, None].float(),
            scores[picture, rank, None].clamp(max=1),
            boxes[picture, rank],
            torch.stack([x / across, y / down], dim=2).flatten(1),
        ],
        dim=1,
    )
    rows = faces.cpu().numpy()
    ends = np.searchsorted(rows[:, 0], np.arange(1, len(scores)))
    return [
        Detections(
            boxes_xyxy=one[:, 2:6].copy(),
            scores=one[:, 1].copy(),
            landmarks=one[:, 6:].reshape(-1, LANDMARKS, 2).copy(),
        )
        for one in np.split(rows, ends)
    ]
