"""Faces of frames that no detector looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.pipeline.prediction import interpolate, is_steady
from faces_jobs.pipeline.values import Detections


def found(*boxes: tuple[float, float, float, float], landmarks: bool = False) -> Detections:
    sides = np.array(boxes, np.float32).reshape(-1, 4)
    corners = np.repeat(sides[:, np.newaxis, :2], 5, axis=1)
    return Detections(
        sides,
        np.linspace(0.9, 0.6, len(boxes), dtype=np.float32),
        corners if landmarks else None,
    )


NOBODY = found()


def test_a_face_of_both_frames_is_between_its_boxes() -> None:
    told = interpolate(
        found((0, 0, 20, 20), (100, 0, 120, 20), landmarks=True),
        found((100, 8, 124, 28), (8, 0, 28, 20), landmarks=True),
        0.25,
    )
    np.testing.assert_allclose(told.boxes_xyxy, [(2, 0, 22, 20), (100, 2, 121, 22)])
    np.testing.assert_allclose(told.scores, [0.9 * 0.75 + 0.6 * 0.25, 0.6 * 0.75 + 0.9 * 0.25])
    assert told.landmarks is not None
    np.testing.assert_allclose(told.landmarks[:, 0], told.boxes_xyxy[:, :2])


@pytest.mark.parametrize(("share", "is_early"), [(0.1, 1), (0.5, 1), (0.6, 0), (0.9, 0)])
def test_a_face_of_one_frame_stays_where_it_was_while_that_is_the_nearer(
    share: float, is_early: int
) -> None:
    face = found((10, 10, 30, 30))
    assert len(interpolate(face, NOBODY, share)) == is_early
    assert len(interpolate(NOBODY, face, share)) == 1 - is_early
    assert len(interpolate(NOBODY, NOBODY, share)) == 0


def test_two_faces_far_from_each_other_are_not_one() -> None:
    told = interpolate(found((0, 0, 20, 20)), found((200, 0, 220, 20)), 0.5)
    np.testing.assert_allclose(told.boxes_xyxy, [(0, 0, 20, 20)])


@pytest.mark.parametrize(
    ("before", "after", "steady"),
    [
        (NOBODY, NOBODY, True),
        (found((0, 0, 20, 20)), found((2, 0, 22, 20)), True),
        (found((0, 0, 20, 20)), found((12, 0, 32, 20)), False),  # far
        (found((0, 0, 20, 20)), NOBODY, False),  # gone
        (NOBODY, found((0, 0, 20, 20)), False),  # come
        (found((0, 0, 20, 20), (50, 0, 70, 20)), found((50, 0, 70, 20), (0, 1, 20, 21)), True),
        (found((0, 0, 20, 20), (50, 0, 70, 20)), found((0, 0, 20, 20), (90, 0, 110, 20)), False),
    ],
)
def test_frames_are_steady_where_the_same_faces_hardly_move(
    before: Detections, after: Detections, steady: bool
) -> None:
    assert is_steady(before, after) is steady
    assert is_steady(after, before) is steady


boxes = st.lists(
    st.builds(
        lambda left, top, width, height: (left, top, left + width, top + height),
        st.integers(0, 300),
        st.integers(0, 300),
        st.integers(4, 90),
        st.integers(4, 90),
    ),
    max_size=6,
)


@given(before=boxes, after=boxes, share=st.floats(0, 1))
def test_what_is_told_lies_within_what_was_seen(
    before: list[tuple[int, int, int, int]], after: list[tuple[int, int, int, int]], share: float
) -> None:
    told = interpolate(found(*before), found(*after), share)
    assert len(told) <= max(len(before), len(after))
    sides = told.boxes_xyxy[:, 2:] - told.boxes_xyxy[:, :2]
    assert (sides >= 4 - 1e-3).all()
    assert (told.boxes_xyxy >= 0).all()
    assert list(told.scores) == sorted(told.scores, reverse=True)
    assert told.boxes_xyxy.dtype == np.float32
