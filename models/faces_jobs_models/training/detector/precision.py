"""Average precision of a detector: what it found against the faces that are marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Boxes

MIN_IOU = 0.5  # intersection over union from which on a box is said to be on a face
Heights = tuple[float, float]
ANY_HEIGHT: Heights = (0.0, math.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """One picture: the boxes found in it and the faces marked in it.

    Faces that are `ignored` (not sure to be one, or too small to ask for) need not be found; a
    box on one is neither right nor wrong.
    """

    boxes_xyxy: Boxes  # (n, 4)
    scores: NDArray[np.float32]  # (n,)
    faces_xyxy: Boxes  # (m, 4)
    ignored: NDArray[np.bool_]  # (m,)


@dataclass(frozen=True, slots=True)
class RecallPrecision:
    """What one threshold gives: of the faces, how many are found; of the boxes, how many right."""

    recall: float
    precision: float


class _Outcome(IntEnum):
    WRONG = 0
    RIGHT = 1
    LEFT_OUT = 2


def average_precision(
    pictures: Sequence[Detected], *, overlap: float = MIN_IOU, heights: Heights = ANY_HEIGHT
) -> float:
    """Area under the curve of precision over recall, as for PASCAL VOC since 2010 and WIDER FACE.

    Each box, best score first, takes the face that it overlaps most of those that no box has
    taken yet. One that finds none is left out where it lies on an ignored face, else it is wrong.
    Precision at a recall is the highest at that recall or a higher one. Boxes of one score are
    taken together, so that the order of the pictures does not matter.

    Args:
        pictures: what was found and marked in each.
        overlap: intersection over union that is enough.
        heights: faces of other heights (from, to below) are ignored, and wrong boxes of other
            heights are left out: the figure of one band of sizes.

    Raises:
        ValueError: there is no face to be found.
    """
    scores, right, faces = _judged(pictures, overlap, heights)
    if not faces:
        raise ValueError("no face of these heights is marked: there is nothing to be found")
    if not len(scores):
        return 0.0
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    found = np.cumsum(right[order])[last]
    recall = found / faces
    precision = found / (np.nonzero(last)[0] + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0) * highest))


def at_threshold(
    pictures: Sequence[Detected],
    threshold: float,
    *,
    overlap: float = MIN_IOU,
    heights: Heights = ANY_HEIGHT,
) -> RecallPrecision:
    """Recall and precision of the boxes with at least this score; NaN where nothing counts."""
    scores, right, faces = _judged(pictures, overlap, heights)
    kept = right[scores >= np.float32(threshold)]
    return RecallPrecision(
        recall=float(kept.sum() / faces) if faces else math.nan,
        precision=float(kept.mean()) if len(kept) else math.nan,
    )


def score_of_precision(
    pictures: Sequence[Detected],
    precision: float,
    *,
    overlap: float = MIN_IOU,
    heights: Heights = ANY_HEIGHT,
) -> float:
    """The lowest score from which on this share of the boxes is right; NaN where none is."""
    scores, right, _ = _judged(pictures, overlap, heights)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(last[: len(order)] & (shares >= precision))[0]
    return float(scores[order][enough[-1]]) if len(enough) else math.nan


def face_count(pictures: Sequence[Detected], *, heights: Heights = ANY_HEIGHT) -> int:
    """How many faces are to be found."""
    return sum(int((~_ignored(one, heights)).sum()) for one in pictures)


def _judged(
    pictures: Sequence[Detected], overlap: float, heights: Heights
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    # Scores and rightness of all boxes that count, and how many faces there are to be found.
    scores, right = [np.zeros(0, np.float32)], [np.zeros(0, np.bool_)]
    for one in pictures:
        outcomes = _outcomes(one, overlap, heights)
        counts = outcomes != _Outcome.LEFT_OUT
        scores.append(one.scores[counts])
        right.append(outcomes[counts] == _Outcome.RIGHT)
    return np.concatenate(scores), np.concatenate(right), face_count(pictures, heights=heights)


def _outcomes(one: Detected, overlap: float, heights: Heights) -> NDArray[np.int_]:
    ignored = _ignored(one, heights)
    overlaps = _overlaps(one.boxes_xyxy, one.faces_xyxy)
    in_band = _of_height(one.boxes_xyxy, heights)
    free = ~ignored
    outcomes = np.full(len(one.scores), _Outcome.WRONG, np.int_)
    for box in np.argsort(-one.scores, kind="stable"):
        fits = np.where(free, overlaps[box], 0.0)
        if fits.size and fits.max() >= overlap:
            free[fits.argmax()] = False
            outcomes[box] = _Outcome.RIGHT
        elif not in_band[box] or (overlaps[box, ignored] >= overlap).any():
            outcomes[box] = _Outcome.LEFT_OUT
    return outcomes


def _ignored(one: Detected, heights: Heights) -> NDArray[np.bool_]:
    return one.ignored | ~_of_height(one.faces_xyxy, heights)


def _of_height(boxes_xyxy: Boxes, heights: Heights) -> NDArray[np.bool_]:
    height = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    return np.asarray((height >= heights[0]) & (height < heights[1]), np.bool_)


def _overlaps(one: Boxes, other: Boxes) -> NDArray[np.float64]:
    """Intersection over union of (n, 4) with (m, 4), as (n, m)."""
    first, second = one.astype(np.float64)[:, None], other.astype(np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.maximum(high - low, 0).prod(axis=-1)
    areas = [np.maximum(box[..., 2:] - box[..., :2], 0).prod(axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - shared
    ratio: NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=ratio, where=union > 0)
    return ratio
