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


def test_the_border_is_replicated_outside_the_picture() -> None:
    drawn = clips.picture(width=40, height=40, background=RED)
    [crop] = crop_faces(drawn, np.array([[-20, -20, 20, 20]], np.float32), scale=1.5, size=32)
    assert (crop == RED).all()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(st.floats(-50, 150), st.floats(-50, 110), st.floats(0.5, 200), st.floats(0.5, 200)),
    st.floats(0.5, 3),
    st.integers(1, 80),
)
def test_any_box_that_touches_the_picture_gives_a_crop(
    box: tuple[float, float, float, float], scale: float, size: int
) -> None:
    drawn = clips.picture(width=100, height=60)
    x, y, width, height = box
    left, top = min(max(x, 0), 98), min(max(y, 0), 58)
    right, bottom = min(max(x + width, left + 1), 100), min(max(y + height, top + 1), 60)
    boxes = np.array([[left, top, right, bottom]], np.float32)
    [crop] = crop_faces(drawn, boxes, scale=scale, size=size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8
    assert (crop == clips.GRAY).all()


def test_a_box_outside_the_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="outside"):
        crop_faces(clips.picture(), np.array([[500, 500, 520, 520]], np.float32), scale=1, size=8)


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
