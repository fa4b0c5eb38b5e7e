"""The twelve outputs of a grid detector to boxes, scores and landmarks of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes, Detections
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.outputs import LANDMARKS, STRIDES
from faces_jobs_models.detector.suppression import keep_best
from faces_jobs_models.detector.working_batch import WorkingSize

LARGEST_LOG_SIZE = 10.0  # e^10 strides: far beyond any picture, and far from an overflow


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
    if len(scores) > options.most_faces * 4:
        # A noisy picture at the lowest threshold: suppression needs only the best of it.
        best = np.argsort(-scores, kind="stable")[: options.most_faces * 4]
        scores, boxes, points = scores[best], boxes[best], points[best]
    scale_xy = np.asarray(size.scale_xy, np.float32)
    limit = np.asarray((size.width, size.height) * 2, np.float32)
    boxes_xyxy: Boxes = np.clip(boxes / np.tile(scale_xy, 2), 0, limit).astype(np.float32)
    whole = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= 1).all(axis=1)
    kept = keep_best(boxes_xyxy[whole], scores[whole], overlap=options.overlap)
    chosen = np.nonzero(whole)[0][kept[: options.most_faces]]
    return Detections(
        boxes_xyxy=boxes_xyxy[chosen],
        scores=np.minimum(scores[chosen], 1),
        landmarks=(points[chosen] / scale_xy).astype(np.float32),
    )


def _level(
    maps: Sequence[NDArray[np.float32]], stride: int, size: WorkingSize, options: DetectorOptions
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    cls, obj, bbox, kps = maps
    squared = cls[:, 0] * obj[:, 0]
    # Roots, logarithms and points are only worked out for the few cells that may be a face.
    cells = np.nonzero(squared >= options.lowest_score**2)[0]
    rows, columns = np.divmod(cells, size.outer_width // stride)
    corner = np.stack([columns, rows], axis=1).astype(np.float32)
    centre = (corner + bbox[cells, :2]) * stride
    half = np.exp(np.minimum(bbox[cells, 2:], LARGEST_LOG_SIZE)) * (stride / 2)
    points = (kps[cells].reshape(-1, LANDMARKS, 2) + corner[:, None]) * stride
    return (
        np.sqrt(squared[cells]),
        np.concatenate([centre - half, centre + half], axis=1),
        points,
    )
