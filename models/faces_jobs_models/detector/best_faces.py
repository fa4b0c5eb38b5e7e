"""Selects the faces among a detector's candidates: scaling, clamping and suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.suppression import nms

MAX_LOG_SIZE = 10.0  # e^10 strides: larger than any picture, and safe from overflow

CANDIDATES_PER_FACE = 4
"""Bounds the candidates that suppression compares, as a multiple of `max_faces`."""


def best_faces(
    scores: NDArray[np.float32],
    boxes_xyxy: NDArray[np.floating[Any]],
    points: NDArray[np.floating[Any]],
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> Detections:
    """Scale candidates to the picture's pixels, clamp them, and suppress all but the best.

    Args:
        scores: (n,).
        boxes_xyxy: (n, 4) in pixels of the network's input.
        points: (n, 5, 2) landmarks in pixels of the network's input.
        size: how the picture lies in the network's input.
        options: thresholds.

    Returns:
        Best score first; boxes are at least one pixel wide and high.
    """
    max_candidates = options.max_faces * CANDIDATES_PER_FACE
    if len(scores) > max_candidates:
        best = np.argsort(-scores, kind="stable")[:max_candidates]
        scores, boxes_xyxy, points = scores[best], boxes_xyxy[best], points[best]
    scale_xy = np.asarray(size.scale_xy, boxes_xyxy.dtype)
    limit = np.asarray((size.width, size.height) * 2, boxes_xyxy.dtype)
    boxes = np.clip(boxes_xyxy / np.tile(scale_xy, 2), 0, limit).astype(np.float32)
    valid = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
    kept = nms(boxes[valid], scores[valid], iou_threshold=options.iou_threshold)
    selected = np.nonzero(valid)[0][kept[: options.max_faces]]
    return Detections(
        boxes_xyxy=boxes[selected],
        scores=np.minimum(scores[selected], np.float32(1)),
        landmarks=(points[selected] / scale_xy).astype(np.float32),
    )
