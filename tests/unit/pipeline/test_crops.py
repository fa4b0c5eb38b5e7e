"""The geometry of crops, and the orientation and blending of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.reading.pictures import Orientation, fit, on_white
from tests import clips
from tests.clips import GREEN, RED, Square


def test_a_crop_is_centred_on_its_box_and_square() -> None:
    drawn = clips.picture([Square(20, 10, 20, RED)], width=80, height=60)
    [crop] = crop_faces(drawn, np.array([[20, 10, 40, 30]], np.float32), scale=2.0, size=40)
    assert crop.shape == (40, 40, 3)
    assert (crop[10:30, 10:30] == RED).all()
    assert (crop[:10] == clips.GRAY).all()


def test_a_box_that_is_not_square_is_not_stretched() -> None:
    drawn = clips.picture([Square(30, 20, 10, GREEN)], width=80, height=60)
    [crop] = crop_faces(drawn, np.array([[30, 10, 40, 40]], np.float32), scale=1.0, size=30)
    green = (crop == GREEN).all(axis=2)
    assert (green.any(axis=0).sum(), green.any(axis=1).sum()) == (10, 10)


NOISE = np.random.default_rng(1).integers(0, 255, (60, 100, 3), np.uint8)
MARGIN = 320
BORDERED = np.pad(NOISE, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")


def test_a_large_face_is_averaged_to_the_size_of_the_crop() -> None:
    boxes = np.array([[8, 4, 56, 52]], np.float32)
    [crop] = crop_faces(NOISE, boxes, scale=1.0, size=6)
    means = NOISE[4:52, 8:56].reshape(6, 8, 6, 8, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 1


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(st.integers(0, 98), st.integers(0, 58), st.integers(1, 99), st.integers(1, 59)),
    st.floats(0.5, 3),
    st.integers(1, 80),
)
def test_the_border_is_replicated_outside_the_picture(
    box: tuple[int, int, int, int], scale: float, size: int
) -> None:
    left, top, width, height = box
    boxes = np.array([[left, top, min(left + width, 100), min(top + height, 60)]], np.float32)
    [crop] = crop_faces(NOISE, boxes, scale=scale, size=size)
    [expected] = crop_faces(BORDERED, boxes + MARGIN, scale=scale, size=size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    np.testing.assert_array_equal(crop, expected)


@pytest.mark.parametrize(
    "box",
    [(64, 10, 74, 20), (-10, 10, 0, 20), (10, 48, 20, 58), (10, -10, 20, 0)],
    ids=["right", "left", "below", "above"],
)
def test_a_box_outside_the_picture_is_an_error(box: tuple[int, int, int, int]) -> None:
    drawn = clips.picture(width=64, height=48)
    with pytest.raises(ValueError, match="outside"):
        crop_faces(drawn, np.array([box], np.float32), scale=1, size=8)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 9), st.integers(1, 9))
def test_orientation_moves_pixels_and_loses_none(
    transposed: bool, mirrored_x: bool, mirrored_y: bool, width: int, height: int
) -> None:
    drawn = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    turned = Orientation(transposed, mirrored_x, mirrored_y).apply(drawn)
    assert turned.shape[:2] == ((width, height) if transposed else (height, width))
    assert sorted(turned.ravel().tolist()) == sorted(drawn.ravel().tolist())


def test_a_truncated_display_matrix_is_ignored() -> None:
    assert Orientation.from_display_matrix(b"\0" * 12) == Orientation()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 255), st.integers(0, 255))
def test_transparent_pixels_are_blended_with_white(level: int, alpha: int) -> None:
    pixel = np.full((1, 1, 4), level, np.uint8)
    pixel[..., 3] = alpha
    wanted = (level * alpha + 255 * (255 - alpha)) / 255
    assert abs(int(on_white(pixel)[0, 0, 0]) - wanted) <= 0.5


def test_a_picture_of_the_right_size_is_not_copied() -> None:
    drawn = clips.picture()
    assert fit(drawn, 64, 48) is drawn
    assert fit(drawn, 32, 24).shape == (24, 32, 3)
