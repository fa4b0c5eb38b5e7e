"""The twelve outputs of a grid detector to boxes, scores and landmarks of a picture."""

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
    """Boxes of one picture of a batch, in its own pixels, clamped to it and of at least one pixel.

    A cell (column, row) of stride s says: score sqrt(cls * obj); box centred at
    s * (column + bbox[0], row + bbox[1]), s * exp(bbox[2:4]) wide and high; points at
    s * (column + kps[2i], row + kps[2i + 1]).

    Args:
        outputs: as `OUTPUT_NAMES`, each (n, cells, channels), cells row by row.
        index: of the picture in the batch.
        size: how the picture lies in the network's input.
        options: thresholds.
    """
    levels = len(STRIDES)
    parts = [
        _level([outputs[kind * levels + level][index] for kind in range(4)], stride, size, options)
        for level, stride in enumerate(STRIDES)
    ]
    scores, boxes, points = (
        np.concatenate(values, dtype=np.float32) for values in zip(*parts, strict=True)
    )
    return best_faces(scores, boxes, points, size=size, options=options)


def _level(
    maps: Sequence[NDArray[np.float32]], stride: int, size: WorkingSize, options: DetectorOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    cls, obj, bbox, kps = maps
    squared = cls[:, 0] * obj[:, 0]
    # Roots, logarithms and points are only worked out for the few cells that may be a face.
    cells = np.nonzero(squared >= options.min_score**2)[0]
    rows, columns = np.divmod(cells, size.padded_width // stride)
    corner = np.stack([columns, rows], axis=1).astype(np.float32)
    centre = (corner + bbox[cells, :2]) * stride
    half = np.exp(np.minimum(bbox[cells, 2:], MAX_LOG_SIZE)) * (stride / 2)
    points = (kps[cells].reshape(-1, LANDMARKS, 2) + corner[:, None]) * stride
    return (
        np.sqrt(squared[cells]),
        np.concatenate([centre - half, centre + half], axis=1),
        points,
    )
