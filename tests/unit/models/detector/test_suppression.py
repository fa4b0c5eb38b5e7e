"""Of boxes that overlap much, the best stays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs_models.detector.suppression import nms
from tests.unit.models.photographs import overlap


def test_the_better_of_two_stays_and_a_far_one_too() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.5, 0.9, 0.7], np.float32)
    assert nms(boxes, scores, iou_threshold=0.3).tolist() == [1, 2]


def test_no_boxes() -> None:
    nothing = nms(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), iou_threshold=0.3)
    assert nothing.tolist() == []


BOX = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)


@given(st.lists(st.tuples(BOX, st.integers(0, 100)), min_size=1, max_size=20))
def test_those_kept_overlap_little_and_cover_those_gone(
    found: list[tuple[tuple[int, int, int, int], int]],
) -> None:
    boxes = np.array([box for box, _ in found], np.float32)
    scores = np.array([score for _, score in found], np.float32)
    kept = nms(boxes, scores, iou_threshold=0.4)
    assert (np.diff(scores[kept]) <= 0).all()
    for place, one in enumerate(kept):
        assert all(overlap(boxes[one], boxes[other]) <= 0.4 + 1e-6 for other in kept[:place])
    for gone in set(range(len(found))) - set(kept.tolist()):
        assert any(
            overlap(boxes[gone], boxes[one]) > 0.4 - 1e-6 and scores[one] >= scores[gone]
            for one in kept
        )
