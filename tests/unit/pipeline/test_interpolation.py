"""Interpolated detections of frames that were not detected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.pipeline.stages.interpolation import interpolate, is_steady
from faces_jobs.pipeline.values import Detections


def detections(*boxes: tuple[float, float, float, float], landmarks: bool = False) -> Detections:
    sides = np.array(boxes, np.float32).reshape(-1, 4)
    corners = np.repeat(sides[:, np.newaxis, :2], 5, axis=1)
    return Detections(
        sides,
        np.linspace(0.9, 0.6, len(boxes), dtype=np.float32),
        corners if landmarks else None,
    )


NO_FACES = detections()


def test_a_face_of_both_frames_is_between_its_boxes() -> None:
    between = interpolate(
        detections((0, 0, 20, 20), (100, 0, 120, 20), landmarks=True),
        detections((100, 8, 124, 28), (8, 0, 28, 20), landmarks=True),
        0.25,
    )
    np.testing.assert_allclose(between.boxes_xyxy, [(2, 0, 22, 20), (100, 2, 121, 22)])
    np.testing.assert_allclose(between.scores, [0.9 * 0.75 + 0.6 * 0.25, 0.6 * 0.75 + 0.9 * 0.25])
    assert between.landmarks is not None
    np.testing.assert_allclose(between.landmarks[:, 0], between.boxes_xyxy[:, :2])


@pytest.mark.parametrize(("fraction", "is_early"), [(0.1, 1), (0.5, 1), (0.6, 0), (0.9, 0)])
def test_a_face_of_one_frame_keeps_its_box_in_the_nearer_half(
    fraction: float, is_early: int
) -> None:
    face = detections((10, 10, 30, 30))
    assert len(interpolate(face, NO_FACES, fraction)) == is_early
    assert len(interpolate(NO_FACES, face, fraction)) == 1 - is_early
    assert len(interpolate(NO_FACES, NO_FACES, fraction)) == 0


def test_two_faces_far_from_each_other_are_not_one() -> None:
    between = interpolate(detections((0, 0, 20, 20)), detections((200, 0, 220, 20)), 0.5)
    np.testing.assert_allclose(between.boxes_xyxy, [(0, 0, 20, 20)])


@pytest.mark.parametrize(
    ("before", "after", "steady"),
    [
        (NO_FACES, NO_FACES, True),
        (detections((0, 0, 20, 20)), detections((2, 0, 22, 20)), True),
        (detections((0, 0, 20, 20)), detections((12, 0, 32, 20)), False),  # far
        (detections((0, 0, 20, 20)), NO_FACES, False),  # left
        (NO_FACES, detections((0, 0, 20, 20)), False),  # appeared
        (
            detections((0, 0, 20, 20), (50, 0, 70, 20)),
            detections((50, 0, 70, 20), (0, 1, 20, 21)),
            True,
        ),
        (
            detections((0, 0, 20, 20), (50, 0, 70, 20)),
            detections((0, 0, 20, 20), (90, 0, 110, 20)),
            False,
        ),
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


@given(before=boxes, after=boxes, fraction=st.floats(0, 1))
def test_interpolated_boxes_are_within_the_detected_ones(
    before: list[tuple[int, int, int, int]], after: list[tuple[int, int, int, int]], fraction: float
) -> None:
    between = interpolate(detections(*before), detections(*after), fraction)
    assert len(between) <= max(len(before), len(after))
    sides = between.boxes_xyxy[:, 2:] - between.boxes_xyxy[:, :2]
    assert (sides >= 4 - 1e-3).all()
    assert (between.boxes_xyxy >= 0).all()
    assert list(between.scores) == sorted(between.scores, reverse=True)
    assert between.boxes_xyxy.dtype == np.float32
