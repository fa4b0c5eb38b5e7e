"""Of the cells that may be a face, those that are one: in the picture's pixels, each face once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.suppression import nms

MAX_LOG_SIZE = 10.0  # e^10 strides: far beyond any picture, and far from an overflow

CANDIDATES_PER_FACE = 4
"""Suppression sees the best of a noisy picture at a low threshold: so many for each face wanted."""


def best_faces(
    scores: NDArray[np.float32],
    boxes_xyxy: NDArray[np.floating[Any]],
    points: NDArray[np.floating[Any]],
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> Detections:
    """Boxes in the picture's pixels, clamped to it, of at least one pixel, best score first.

    Args:
        scores: (n,) of each candidate.
        boxes_xyxy: (n, 4) pixels of the network's input.
        points: (n, 5, 2) likewise.
        size: how the picture lies in the network's input.
        options: thresholds.
    """
    most = options.max_faces * CANDIDATES_PER_FACE
    if len(scores) > most:
        best = np.argsort(-scores, kind="stable")[:most]
        scores, boxes_xyxy, points = scores[best], boxes_xyxy[best], points[best]
    scale_xy = np.asarray(size.scale_xy, boxes_xyxy.dtype)
    limit = np.asarray((size.width, size.height) * 2, boxes_xyxy.dtype)
    boxes = np.clip(boxes_xyxy / np.tile(scale_xy, 2), 0, limit).astype(np.float32)
    whole = (boxes[:, 2:] - boxes[:, :2] >= 1).all(axis=1)
    kept = nms(boxes[whole], scores[whole], iou_threshold=options.iou_threshold)
    chosen = np.nonzero(whole)[0][kept[: options.max_faces]]
    return Detections(
        boxes_xyxy=boxes[chosen],
        scores=np.minimum(scores[chosen], np.float32(1)),
        landmarks=(points[chosen] / scale_xy).astype(np.float32),
    )
