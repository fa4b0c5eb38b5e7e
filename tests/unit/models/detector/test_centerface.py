"""CenterFace on real and on awkward pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from faces_jobs.pipeline.values import Picture
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.detector.centerface.detector import CenterFaceDetector
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.detector.options import DetectorOptions
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr, overlap

CERTAIN = 0.5


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    """With CenterFace, whatever the default is."""
    with open_catalog(device="cpu", detector="centerface") as opened:
        yield opened


def test_finds_the_astronaut_and_nobody_else(catalog: Catalog) -> None:
    (found,) = catalog.detector().detect([astronaut_bgr()])
    certain = found.scores >= CERTAIN
    assert certain.sum() == 1
    assert overlap(found.boxes_xyxy[0], np.array(FACE_XYXY)) > 0.8
    assert (np.diff(found.scores) <= 0).all()
    assert found.boxes_xyxy.dtype == found.scores.dtype == np.float32


def test_landmarks_lie_where_the_face_has_them(catalog: Catalog) -> None:
    (found,) = catalog.detector().detect([astronaut_bgr()])
    assert found.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks[0]
    # As the subject sees them: her right eye is on the picture's left.
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_pictures_of_another_size_in_the_next_call_are_in_their_own_pixels(
    catalog: Catalog,
) -> None:
    picture = astronaut_bgr()
    shifted = np.zeros((700, 1100, 3), np.uint8)
    shifted[100:612, 500:1012] = picture
    detector = catalog.detector()
    (first,) = detector.detect([picture])
    (second,) = detector.detect([shifted])
    (again,) = detector.detect([picture])
    expected = first.boxes_xyxy[0] + np.array([500, 100, 500, 100])
    assert overlap(second.boxes_xyxy[0], expected) > 0.85
    np.testing.assert_array_equal(first.boxes_xyxy, again.boxes_xyxy)


@pytest.mark.parametrize("frames_a_run", [1, 3, 8])
def test_a_batch_answers_as_its_pictures_alone(frames_a_run: int) -> None:
    picture = astronaut_bgr()
    pictures = [picture, picture[:, ::-1], np.roll(picture, 60, axis=0)]
    options = DetectorOptions(frames_a_run=frames_a_run, min_score=0.2)
    detector = open_detector(detector_record("centerface"), options=options)
    together = detector.detect(pictures)
    for picture, found in zip(pictures, together, strict=True):
        (alone,) = detector.detect([picture])
        np.testing.assert_allclose(found.boxes_xyxy, alone.boxes_xyxy, atol=1e-2)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)


@pytest.mark.parametrize(
    "cut",
    [np.s_[:, 220:], np.s_[:, :232], np.s_[110:, :], np.s_[:130, :]],
    ids=["left", "right", "top", "bottom"],
)
def test_a_face_at_a_border_is_found_and_its_box_clamped(
    catalog: Catalog, cut: tuple[slice, slice]
) -> None:
    picture = np.ascontiguousarray(astronaut_bgr()[cut])
    (found,) = catalog.detector().detect([picture])
    assert found.scores[0] > 0.2
    assert_inside(found.boxes_xyxy, picture)


@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 200), width=st.integers(1, 200), seed=st.integers(0, 2**16))
def test_any_picture_gives_boxes_of_at_least_one_pixel_inside_it(
    catalog: Catalog, height: int, width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (height, width, 3), np.uint8)
    (found,) = catalog.detector().detect([picture])
    assert_inside(found.boxes_xyxy, picture)


def test_nothing_in_nothing_out(catalog: Catalog) -> None:
    assert catalog.detector().detect([]) == []


@pytest.mark.parametrize(
    "pictures",
    [
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
        [np.zeros((8, 8), np.uint8)],
        [np.zeros((8, 8, 4), np.uint8)],
        [np.zeros((0, 8, 3), np.uint8)],
        [np.zeros((8, 8, 3), np.float32)],
    ],
    ids=["two sizes", "gray", "alpha", "no pixels", "floats"],
)
def test_what_is_no_frame_is_refused(catalog: Catalog, pictures: list[Picture]) -> None:
    with pytest.raises(ValueError, match="picture"):
        catalog.detector().detect(pictures)


def test_the_network_sees_the_pictures_pixels_in_rgb_and_black_around_them() -> None:
    network = _Listening()
    detector = CenterFaceDetector(
        network, detector_record("centerface"), DetectorOptions(), sha256="-"
    )
    picture = np.random.default_rng(3).integers(0, 256, (40, 50, 3), np.uint8)
    assert len(detector.detect([picture])[0]) == 0
    [[seen]] = network.seen
    np.testing.assert_array_equal(seen[:, :40, :50], picture[:, :, ::-1].transpose(2, 0, 1))
    assert seen.shape == (3, 64, 64)
    assert not seen[:, 40:].any()
    assert not seen[:, :, 50:].any()


class _Listening:
    """A network that sees no face, and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[NDArray[np.float32]] = []

    def run(self, batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self.seen.append(batch.copy())
        count, _, height, width = batch.shape
        return [
            np.zeros((count, one, height // 4, width // 4), np.float32) for one in (1, 2, 2, 10)
        ]


def assert_inside(boxes_xyxy: np.ndarray, picture: Picture) -> None:
    height, width = picture.shape[:2]
    assert (boxes_xyxy[:, :2] >= 0).all()
    assert (boxes_xyxy[:, 2:] <= (width, height)).all()
    assert (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2] >= 1).all()
