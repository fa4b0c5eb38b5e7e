"""Decodes the twelve outputs of a grid detector to boxes, scores and landmarks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Detections
from faces_jobs_models.detector.best_faces import MAX_LOG_SIZE, best_faces
from faces_jobs_models.detector.input_batch import WorkingSize
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS, STRIDES


def decode(
    outputs: Sequence[NDArray[np.float32]],
    index: int,
    *,
    size: WorkingSize,
    options: DetectorOptions,
) -> Detections:
    """Decode the faces of one picture of a batch.

    For the cell (column, row) of stride s the score is sqrt(cls * obj), the box is centred at
    s * (column + bbox[0], row + bbox[1]) and s * exp(bbox[2:4]) wide and high, and the points are
    at s * (column + kps[2i], row + kps[2i + 1]).

    Args:
        outputs: as `OUTPUT_NAMES`, each (n, cells, channels), cells row by row.
        index: of the picture in the batch.
        size: how the picture lies in the network's input.
        options: thresholds.

    Returns:
        In the picture's pixels, clamped to it, at least one pixel wide and high.
    """
    levels = len(STRIDES)
    by_level = [
        _level([outputs[kind * levels + level][index] for kind in range(4)], stride, size, options)
        for level, stride in enumerate(STRIDES)
    ]
    scores, boxes, points = (
        np.concatenate(values, dtype=np.float32) for values in zip(*by_level, strict=True)
    )
    return best_faces(scores, boxes, points, size=size, options=options)


def _level(
    maps: Sequence[NDArray[np.float32]], stride: int, size: WorkingSize, options: DetectorOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Decode one level: scores (k,), boxes (k, 4) and points (k, 5, 2) of its candidates."""
    cls, obj, bbox, kps = maps  # each (cells, channels)
    squared_scores = cls[:, 0] * obj[:, 0]  # (cells,)
    # The rest is only computed for the few cells above the threshold.
    cells = np.nonzero(squared_scores >= options.min_score**2)[0]  # (k,)
    rows, columns = np.divmod(cells, size.padded_width // stride)
    corner = np.stack([columns, rows], axis=1).astype(np.float32)  # (k, 2)
    centre = (corner + bbox[cells, :2]) * stride  # (k, 2)
    half = np.exp(np.minimum(bbox[cells, 2:], MAX_LOG_SIZE)) * (stride / 2)  # (k, 2)
    points = (kps[cells].reshape(-1, LANDMARKS, 2) + corner[:, None]) * stride  # (k, 5, 2)
    return (
        np.sqrt(squared_scores[cells]),
        np.concatenate([centre - half, centre + half], axis=1),
        points,
    )
