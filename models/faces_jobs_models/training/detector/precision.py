"""Average precision, precision and recall of a detector, by matching boxes to annotated faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes

MIN_IOU = 0.5  # intersection over union from which on a box matches a face
Heights = tuple[float, float]
ANY_HEIGHT: Heights = (0.0, math.inf)


@dataclass(frozen=True, slots=True, eq=False)
class DetectionResult:
    """The detected boxes and the annotated faces of one picture.

    Faces that are `ignored` (doubtful or too small) need not be detected; a box that matches one
    counts neither as correct nor as wrong.
    """

    boxes_xyxy: Boxes  # (n, 4)
    scores: NDArray[np.float32]  # (n,)
    faces_xyxy: Boxes  # (m, 4)
    ignored: NDArray[np.bool_]  # (m,)


@dataclass(frozen=True, slots=True)
class RecallPrecision:
    """Share of the faces that are detected, and share of the boxes that are correct."""

    recall: float
    precision: float


class _Outcome(IntEnum):
    WRONG = 0
    CORRECT = 1
    IGNORED = 2


def average_precision(
    pictures: Sequence[DetectionResult], *, min_iou: float = MIN_IOU, heights: Heights = ANY_HEIGHT
) -> float:
    """Area under the precision-recall curve, as for PASCAL VOC since 2010 and WIDER FACE.

    Boxes are matched in descending order of their scores, each to the unmatched face that it
    overlaps most. A box without a match is ignored if it is on an ignored face, or else wrong.
    Precision at a recall is the maximum at that recall or a higher one. Boxes of equal score are
    one point of the curve, so that the order of pictures does not matter.

    Args:
        pictures: detected boxes and annotated faces.
        min_iou: intersection over union that is a match.
        heights: for the figure of a band of heights [from, to): faces of other heights are ignored,
            and so are wrong boxes of other heights.

    Raises:
        ValueError: no face is annotated that counts.
    """
    scores, correct, faces = _match_all(pictures, min_iou, heights)
    if not faces:
        raise ValueError("no face of these heights is annotated")
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    true_positives = np.cumsum(correct[order])[last]
    recall = true_positives / faces
    precision = true_positives / (np.nonzero(last)[0] + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * highest))


def at_threshold(
    pictures: Sequence[DetectionResult],
    threshold: float,
    *,
    heights: Heights = ANY_HEIGHT,
) -> RecallPrecision:
    """Return recall and precision of the boxes with at least this score; NaN if none count."""
    scores, correct, faces = _match_all(pictures, MIN_IOU, heights)
    kept = correct[scores >= np.float32(threshold)]
    return RecallPrecision(
        recall=float(kept.sum() / faces) if faces else math.nan,
        precision=float(kept.mean()) if len(kept) else math.nan,
    )


def threshold_for_precision(
    pictures: Sequence[DetectionResult],
    precision: float,
    *,
    heights: Heights = ANY_HEIGHT,
) -> float:
    """Return the lowest threshold at which the precision is reached; NaN if there is none."""
    scores, correct, _ = _match_all(pictures, MIN_IOU, heights)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    precisions = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(last[: len(order)] & (precisions >= precision))[0]
    return float(scores[order][enough[-1]]) if len(enough) else math.nan


def face_count(pictures: Sequence[DetectionResult], *, heights: Heights = ANY_HEIGHT) -> int:
    """Return the number of faces that are not ignored."""
    return sum(int((~_ignored(one, heights)).sum()) for one in pictures)


def _match_all(
    pictures: Sequence[DetectionResult], min_iou: float, heights: Heights
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    # Scores and correctness of all boxes that count, and the number of faces that count.
    scores, correct = [np.zeros(0, np.float32)], [np.zeros(0, np.bool_)]
    for one in pictures:
        outcomes = _match(one, min_iou, heights)
        counts = outcomes != _Outcome.IGNORED
        scores.append(one.scores[counts])
        correct.append(outcomes[counts] == _Outcome.CORRECT)
    return np.concatenate(scores), np.concatenate(correct), face_count(pictures, heights=heights)


def _match(one: DetectionResult, min_iou: float, heights: Heights) -> NDArray[np.int_]:
    ignored = _ignored(one, heights)
    ious = _pairwise_iou(one.boxes_xyxy, one.faces_xyxy)
    in_band = _is_in_band(one.boxes_xyxy, heights)
    unmatched = ~ignored
    outcomes = np.full(len(one.scores), _Outcome.WRONG, np.int_)
    for box in np.argsort(-one.scores, kind="stable"):
        candidates = np.where(unmatched, ious[box], 0.0)
        if candidates.size and candidates.max() >= min_iou:
            unmatched[candidates.argmax()] = False
            outcomes[box] = _Outcome.CORRECT
        elif not in_band[box] or (ious[box, ignored] >= min_iou).any():
            outcomes[box] = _Outcome.IGNORED
    return outcomes


def _ignored(one: DetectionResult, heights: Heights) -> NDArray[np.bool_]:
    return one.ignored | ~_is_in_band(one.faces_xyxy, heights)


def _is_in_band(boxes_xyxy: Boxes, heights: Heights) -> NDArray[np.bool_]:
    height = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    return np.asarray((height >= heights[0]) & (height < heights[1]), np.bool_)


def _pairwise_iou(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Intersection over union of (n, 4) with (m, 4), as (n, m)."""
    first, second = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.maximum(high - low, 0).prod(axis=-1)
    areas = [np.maximum(box[..., 2:] - box[..., :2], 0).prod(axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - intersection
    iou: NDArray[np.float64] = np.zeros_like(intersection)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou
