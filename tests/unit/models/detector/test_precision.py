"""Average precision, on cases worked out by hand and on what must hold for any."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from faces_jobs_models.training.detector.precision import (
    DetectionResult,
    at_threshold,
    average_precision,
    face_count,
    threshold_for_precision,
)

Box = tuple[float, float, float, float]
Found = tuple[Box, float]

FACE: Box = (0, 0, 40, 40)
OTHER: Box = (100, 0, 140, 40)
SMALL: Box = (200, 0, 210, 10)
NOWHERE: Box = (300, 300, 340, 340)


def seen(
    found: list[Found] | tuple[Found, ...] = (),
    faces: list[Box] | tuple[Box, ...] = (),
    ignored: list[Box] | tuple[Box, ...] = (),
) -> DetectionResult:
    boxes = np.array([box for box, _ in found], np.float32).reshape(-1, 4)
    marked = np.array([*faces, *ignored], np.float32).reshape(-1, 4)
    return DetectionResult(
        boxes,
        np.array([score for _, score in found], np.float32),
        marked,
        np.array([False] * len(faces) + [True] * len(ignored), bool),
    )


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (seen([(FACE, 0.9), (OTHER, 0.8)], [FACE, OTHER]), 1.0),
        (seen([(FACE, 0.9)], [FACE, OTHER]), 0.5),
        (seen([], [FACE]), 0.0),
        (seen([(NOWHERE, 0.9)], [FACE]), 0.0),
        # Right, wrong, right: precision 1 up to a recall of 1/2, then 2/3.
        (seen([(FACE, 0.9), (NOWHERE, 0.8), (OTHER, 0.7)], [FACE, OTHER]), 0.5 + 0.5 * 2 / 3),
        # Wrong, right, right: the highest precision to the right counts, 2/3 for all.
        (seen([(NOWHERE, 0.9), (FACE, 0.8), (OTHER, 0.7)], [FACE, OTHER]), 2 / 3),
        # A wrong box behind all right ones costs nothing.
        (seen([(FACE, 0.9), (NOWHERE, 0.1)], [FACE]), 1.0),
        # A second box on a face is wrong.
        (seen([(FACE, 0.9), ((1, 0, 41, 40), 0.8), (OTHER, 0.7)], [FACE, OTHER]), 0.5 + 1 / 3),
    ],
)
def test_worked_out_by_hand(picture: DetectionResult, expected: float) -> None:
    assert average_precision([picture]) == pytest.approx(expected)


@pytest.mark.parametrize(("wanted", "score"), [(1.0, 0.9), (0.75, 0.6), (2 / 3, 0.6), (0.5, 0.2)])
def test_the_lowest_score_at_which_so_many_boxes_are_right(wanted: float, score: float) -> None:
    # Right, wrong, right and right at one score, wrong twice: 1, 1/2, 3/4, 3/5, 3/6 are right.
    nowhere = [(400.0 + 50 * step, 0.0, 440.0 + 50 * step, 40.0) for step in range(3)]
    third: Box = (200, 200, 240, 240)
    found: list[Found] = [
        (FACE, 0.9), (nowhere[0], 0.8), (OTHER, 0.6), (third, 0.6), (nowhere[1], 0.3),
        (nowhere[2], 0.2),
    ]  # fmt: skip
    picture = seen(found, [FACE, OTHER, third])
    assert threshold_for_precision([picture], wanted) == pytest.approx(score)
    assert at_threshold([picture], score).precision >= wanted
    assert math.isnan(threshold_for_precision([seen([(NOWHERE, 0.9)], [FACE])], wanted))
    assert math.isnan(threshold_for_precision([seen([], [FACE])], wanted))


def test_ignored_faces_neither_help_nor_hurt() -> None:
    plain = seen([(FACE, 0.5)], [FACE])
    found = seen([(FACE, 0.5), (OTHER, 0.9)], [FACE], ignored=[OTHER])
    missed = seen([(FACE, 0.5)], [FACE], ignored=[OTHER])
    assert average_precision([found]) == average_precision([missed]) == 1.0
    assert face_count([plain]) == face_count([found]) == face_count([missed]) == 1
    assert at_threshold([found], 0.4) == at_threshold([plain], 0.4)


def test_a_box_between_a_face_and_an_ignored_one_is_on_the_face() -> None:
    shifted: Box = (4, 0, 44, 40)
    picture = seen([(shifted, 0.9)], [FACE], ignored=[shifted])
    assert average_precision([picture]) == 1.0


def test_overlap_of_half_is_enough_and_less_is_not() -> None:
    half: Box = (0, 0, 40, 20)
    less: Box = (0, 0, 40, 19)
    assert average_precision([seen([(half, 0.9)], [FACE])]) == 1.0
    assert average_precision([seen([(less, 0.9)], [FACE])]) == 0.0
    assert average_precision([seen([(less, 0.9)], [FACE])], min_iou=0.4) == 1.0


def test_each_box_takes_the_face_that_it_overlaps_most() -> None:
    near: Box = (4, 0, 44, 40)
    picture = seen([(near, 0.9), (FACE, 0.8)], [FACE, near])
    assert average_precision([picture]) == 1.0


def test_a_band_of_heights_asks_for_its_faces_only() -> None:
    picture = seen([(FACE, 0.9), (SMALL, 0.8), ((220, 0, 230, 10), 0.95)], [FACE, SMALL])
    assert face_count([picture], heights=(20, math.inf)) == 1
    assert average_precision([picture], heights=(20, math.inf)) == 1.0  # small wrong box left out
    assert average_precision([picture], heights=(5, 20)) == 0.5  # the wrong one comes first
    assert average_precision([picture]) == pytest.approx(2 / 3)
    assert average_precision([picture], heights=(40, 41)) == 1.0  # from 40 on
    assert face_count([picture], heights=(20, 40)) == 0  # and below 40


def test_recall_and_precision_at_a_threshold() -> None:
    picture = seen([(FACE, 0.9), (NOWHERE, 0.6), (OTHER, 0.5)], [FACE, OTHER])
    assert at_threshold([picture], 0.5).recall == 1.0
    assert at_threshold([picture], 0.5).precision == pytest.approx(2 / 3)
    assert at_threshold([picture], 0.7).recall == 0.5
    assert at_threshold([picture], 0.7).precision == 1.0
    assert math.isnan(at_threshold([picture], 0.95).precision)
    assert math.isnan(at_threshold([seen([(FACE, 0.9)])], 0.5).recall)


def test_without_annotated_faces_there_is_no_figure() -> None:
    with pytest.raises(ValueError, match="no face of these heights"):
        average_precision([seen([(FACE, 0.9)], ignored=[FACE])])
    with pytest.raises(ValueError, match="no face of these heights"):
        average_precision([])


CORNER = st.integers(0, 60)
SIDE = st.integers(4, 40)
BOX = st.tuples(CORNER, CORNER, SIDE, SIDE).map(
    lambda box: (float(box[0]), float(box[1]), float(box[0] + box[2]), float(box[1] + box[3]))
)
FOUND = st.tuples(BOX, st.integers(1, 9).map(lambda tenths: tenths / 10))
PICTURE = st.builds(
    seen,
    st.lists(FOUND, max_size=8),
    st.lists(BOX, max_size=5),
    st.lists(BOX, max_size=2),
)
PICTURES = st.lists(PICTURE, min_size=1, max_size=4)


def with_faces(pictures: list[DetectionResult]) -> list[DetectionResult]:
    assume(face_count(pictures) > 0)
    return pictures


@given(PICTURES)
def test_it_is_a_share_and_no_more_than_the_recall(pictures: list[DetectionResult]) -> None:
    figure = average_precision(with_faces(pictures))
    assert 0 <= figure <= at_threshold(pictures, 0.0).recall + 1e-9


@given(PICTURES, st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter(
    pictures: list[DetectionResult], random: object
) -> None:
    figure = average_precision(with_faces(pictures))
    shuffled = list(pictures)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives random.Random
    assert average_precision(shuffled) == pytest.approx(figure)


@given(PICTURES)
def test_only_the_order_of_scores_matters(pictures: list[DetectionResult]) -> None:
    figure = average_precision(with_faces(pictures))
    squared = [
        DetectionResult(one.boxes_xyxy, one.scores**2, one.faces_xyxy, one.ignored)
        for one in pictures
    ]
    assert average_precision(squared) == pytest.approx(figure)


@given(PICTURES)
def test_wrong_boxes_never_help(pictures: list[DetectionResult]) -> None:
    figure = average_precision(with_faces(pictures))
    worse = [*pictures, seen([(NOWHERE, 0.55)])]
    assert average_precision(worse) <= figure + 1e-9


@given(PICTURES)
def test_finding_exactly_what_is_marked_is_perfect(pictures: list[DetectionResult]) -> None:
    exact = [
        DetectionResult(
            one.faces_xyxy,
            np.linspace(0.9, 0.1, len(one.faces_xyxy), dtype=np.float32),
            one.faces_xyxy,
            one.ignored,
        )
        for one in with_faces(pictures)
    ]
    assert average_precision(exact, min_iou=1.0) == pytest.approx(1.0)


@given(PICTURES)
def test_the_figures_of_one_threshold_are_a_point_under_the_curve(
    pictures: list[DetectionResult],
) -> None:
    figure = average_precision(with_faces(pictures))
    point = at_threshold(pictures, 0.5)
    if not math.isnan(point.precision):
        assert figure >= point.recall * point.precision - 1e-6
