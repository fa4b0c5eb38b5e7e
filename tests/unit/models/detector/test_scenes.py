"""Every detector that is here finds the faces of the composed scenes, and none where nobody is."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from faces_jobs.pipeline.protocols import Detector
from faces_jobs_models.detector.choice import detector_folder, detector_record
from faces_jobs_models.detector.official import Source, fetch_official
from faces_jobs_models.detector.open_detector import open_detector
from faces_jobs_models.weights import read_record, sha256_of
from tests.unit.models.detector.scenes import Scene, scenes
from tests.unit.models.detector.test_official import YUNET_VARIABLE
from tests.unit.models.photographs import overlap

CERTAIN = 0.5  # a job's default threshold
SCENES = list(scenes())
# (detector's name, scene): in very bright pictures ours takes a suit for a face.
KNOWN_WEAKNESSES = {("detector", "bright")}


@pytest.fixture(scope="module", params=["centerface", "own", "yunet"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Detector:
    """Each in turn; the official one where a variable names its file."""
    if request.param == "yunet":
        name = os.environ.get(YUNET_VARIABLE)  # noqa: TID251 (the tests' own switch)
        if not name:
            pytest.skip(f"{YUNET_VARIABLE} names no YuNet file")
        return fetched(Path(name), tmp_path_factory.mktemp("models"))
    if detector_folder(request.param) is None:
        pytest.skip(f"no weights of {request.param} are in this checkout")
    return open_detector(detector_record(request.param))


def fetched(file: Path, folder: Path) -> Detector:
    (folder / "yunet").mkdir()
    (folder / "yunet" / file.name).write_bytes(file.read_bytes())
    source = Source(url="none", sha256=sha256_of(file), file_name=file.name, version="given")
    return open_detector(read_record(fetch_official(folder, source=source, report=print)))


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_it_finds_every_face_and_nothing_else(
    scene: Scene, detector: Detector, request: pytest.FixtureRequest
) -> None:
    if (detector.name, scene.name) in KNOWN_WEAKNESSES:
        request.applymarker(pytest.mark.xfail(reason="its card tells it", strict=True))
    (found,) = detector.detect([scene.picture_bgr])
    boxes = found.boxes_xyxy[found.scores >= CERTAIN]
    for face in scene.faces_xyxy:
        assert any(overlap(box, face) >= 0.5 for box in boxes), f"{face} was not found"
    assert len(boxes) == len(scene.faces_xyxy)


def test_landmarks_lie_where_the_face_has_them(detector: Detector) -> None:
    (scene,) = [one for one in SCENES if one.name == "plain"]
    (found,) = detector.detect([scene.picture_bgr])
    assert found.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks[0]
    # As the subject sees them: her right eye is on the picture's left.
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    left, top, right, bottom = scene.faces_xyxy[0]
    assert ((found.landmarks[0] > (left, top)) & (found.landmarks[0] < (right, bottom))).all()


def test_the_same_face_is_found_wherever_it_lies(detector: Detector) -> None:
    (scene,) = [one for one in SCENES if one.name == "plain"]
    (found,) = detector.detect([scene.picture_bgr])
    for shift in (1, 3, 8, 13):
        moved = np.roll(scene.picture_bgr, (shift, shift), axis=(0, 1))
        (again,) = detector.detect([moved])
        assert overlap(again.boxes_xyxy[0], found.boxes_xyxy[0] + shift) > 0.7
