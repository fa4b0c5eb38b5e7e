"""The size to which pictures are scaled down before faces are searched for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faces_jobs.pipeline.values import Picture
from faces_jobs.settings import DetectorName
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.detector.centerface.detector import CenterFaceDetector
from faces_jobs_models.detector.choice import detector_record
from faces_jobs_models.detector.options import DetectorOptions
from faces_jobs_models.detector.two_sizes import at_size
from tests.unit.models.photographs import FACE_XYXY, astronaut_bgr, overlap

CERTAIN = 0.5
SMALL = 0.4  # her face is then 45 pixels high


def wide_picture() -> tuple[Picture, np.ndarray]:
    """A picture of 2400 x 900 pixels with one small face, and the face's box."""
    person = cv2.resize(astronaut_bgr(), None, fx=SMALL, fy=SMALL, interpolation=cv2.INTER_AREA)
    picture = np.full((900, 2400, 3), 127, np.uint8)
    height, width = person.shape[:2]
    picture[300 : 300 + height, 1500 : 1500 + width] = person
    return picture, np.array(FACE_XYXY) * SMALL + np.array([1500, 300, 1500, 300])


@pytest.mark.parametrize("name", ["centerface", "own"])
def test_a_larger_size_finds_smaller_faces(name: DetectorName) -> None:
    picture, face = wide_picture()
    with open_catalog(device="cpu", detector=name) as catalog:
        (at_first,) = catalog.detector().detect([picture])
        (larger,) = catalog.detector(1920).detect([picture])
    assert not (at_first.scores >= CERTAIN).any()
    certain = larger.boxes_xyxy[larger.scores >= CERTAIN]
    assert len(certain) == 1
    assert overlap(certain[0], face) > 0.7


def test_a_larger_size_finds_a_large_face_once() -> None:
    large = cv2.resize(astronaut_bgr(), (2560, 2560), interpolation=cv2.INTER_CUBIC)
    picture = np.asarray(large, np.uint8)
    with open_catalog(device="cpu", detector="centerface") as catalog:
        (found,) = catalog.detector(2560).detect([picture])
    certain = found.scores >= CERTAIN
    assert certain.sum() == 1
    assert overlap(found.boxes_xyxy[0], np.array(FACE_XYXY) * 5) > 0.7
    assert found.landmarks is not None
    assert len(found.landmarks) == len(found)
    assert (np.diff(found.scores) <= 0).all()


def test_the_network_is_shared_and_sees_a_large_picture_in_both_sizes() -> None:
    network = _Listening()
    options = DetectorOptions(frames_a_run=8)
    detector = CenterFaceDetector(network, detector_record("centerface"), options, sha256="-")
    pictures = [np.zeros((1080, 1920, 3), np.uint8)] * 8
    at_size(detector, 1280).detect(pictures)
    assert network.shapes == [(8, 3, 384, 640), *[(2, 3, 736, 1280)] * 4]


@pytest.mark.parametrize(("width", "size"), [(640, 640), (500, 512)])
def test_a_small_picture_is_searched_once(width: int, size: int) -> None:
    network = _Listening()
    record = detector_record("centerface")
    detector = CenterFaceDetector(network, record, DetectorOptions(), sha256="-")
    picture = np.zeros((300, width, 3), np.uint8)
    assert len(at_size(detector, 1280).detect([picture, picture])) == 2
    assert network.shapes == [(1, 3, 320, size)] * 2
    assert at_size(detector, 1280).detect([]) == []


def test_a_smaller_size_replaces_the_usual_one() -> None:
    network = _Listening()
    record = detector_record("centerface")
    detector = CenterFaceDetector(network, record, DetectorOptions(), sha256="-")
    at_size(detector, 320).detect([np.zeros((720, 1280, 3), np.uint8)])
    assert network.shapes == [(1, 3, 192, 320)]
    assert at_size(detector, 640) is detector


class _Listening:
    """A network that finds nothing, and notes the shapes of its inputs."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        self.shapes.append(batch.shape)
        count, _, height, width = batch.shape
        return [
            np.zeros((count, maps, height // 4, width // 4), np.float32) for maps in (1, 2, 2, 10)
        ]
