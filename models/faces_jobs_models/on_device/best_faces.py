"""Selects the faces among a detector's candidates on the device, for all pictures of a run.

The host synchronises with the device three times a run, for the largest number of candidates in a
picture, the number of faces, and the faces themselves, and once per iteration of suppression.
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
    """Return the candidate cells of each picture, best first.

    Args:
        scores: (n, cells).
        options: thresholds.

    Returns:
        Scores and cell indices, both (n, k), where k is the largest number of candidates in one
        picture: in the others the last scores are below the threshold.
    """
    max_candidates = int((scores >= options.min_score).sum(dim=1).max())
    ordered, cells = scores.sort(dim=1, descending=True, stable=True)
    k = min(max_candidates, options.max_faces * CANDIDATES_PER_FACE)
    return ordered[:, :k], cells[:, :k]


def values_at(values: Tensor, cells: Tensor) -> Tensor:
    """Gather (n, cells, channels) at (n, k) cell indices -> (n, k, channels)."""
    return values.gather(1, cells[..., None].expand(-1, -1, values.shape[2]))


def best_faces(
    scores: Tensor,
    boxes_xyxy: Tensor,
    points: Tensor,
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> list[Detections]:
    """Like `faces_jobs_models.detector.best_faces.best_faces`, for all pictures of a run.

    Args:
        scores: (n, k), best first.
        boxes_xyxy: (n, k, 4) in pixels of the network's input.
        points: (n, k, 5, 2) landmarks in pixels of the network's input.
        size: how the pictures lie in the network's input.
        options: thresholds.
    """
    # Python numbers are passed to the kernels directly; tensors would have to be copied first.
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
    valid = (boxes[..., 2:] - boxes[..., :2] >= 1).all(dim=2) & (scores >= options.min_score)
    # Invalid boxes get no area, and so suppress no other box.
    kept = valid & nms_on_device(boxes * valid[..., None], options.iou_threshold)  # (n, k)
    kept &= kept.cumsum(dim=1) <= options.max_faces
    picture, rank = torch.nonzero(kept, as_tuple=True)  # (faces,) each
    x, y = points[picture, rank].unbind(dim=2)  # (faces, 5) each
    scale_x, scale_y = size.scale_xy
    faces = torch.cat(
        [
            picture[:, None].float(),
            scores[picture, rank, None].clamp(max=1),
            boxes[picture, rank],
            torch.stack([x / scale_x, y / scale_y], dim=2).flatten(1),
        ],
        dim=1,
    )  # (faces, 16): picture, score, box, landmarks
    rows = faces.cpu().numpy()
    ends = np.searchsorted(rows[:, 0], np.arange(1, len(scores)))
    return [
        Detections(
            boxes_xyxy=of_picture[:, 2:6].copy(),
            scores=of_picture[:, 1].copy(),
            landmarks=of_picture[:, 6:].reshape(-1, LANDMARKS, 2).copy(),
        )
        for of_picture in np.split(rows, ends)
    ]
