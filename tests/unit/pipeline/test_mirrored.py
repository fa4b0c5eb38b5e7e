"""Faces of stills are classified with their mirror images, those of videos are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.values import MediaInfo, Opinion, Picture
from tests.fakes import analysis


class _FakeClassifier:
    """Predicts the brightness of the left half of a crop as the probability of two labels."""

    name, version, sha256 = "multiple", "1", "-"
    heads = MODELS["multiple"]
    unsure_below = {"pose": 0.4}  # noqa: RUF012 (a fake)
    crop_scale, crop_size = 1.1, 4

    def __init__(self) -> None:
        self.crops_seen = 0

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        self.crops_seen += len(crops_bgr)
        return [self._opinion(float(crop[:, :2].mean()) / 255) for crop in crops_bgr]

    def _opinion(self, brightness: float) -> Opinion:
        return {
            "pose": np.array([0, brightness, 1 - brightness, 0, 0], np.float32),
            "illumination": np.array([brightness, 1 - brightness, 0], np.float32),
        }


def test_left_and_right_are_swapped_back() -> None:
    crop = np.zeros((4, 4, 3), np.uint8)
    crop[:, :2] = 255  # a face turned left, whose mirror image is turned right
    classifier = _FakeClassifier()
    [opinion] = MirroredClassifier(classifier).classify([crop])
    assert classifier.crops_seen == 2
    assert opinion["pose"].tolist() == [0, 1, 0, 0, 0]
    assert opinion["illumination"].tolist() == [0.5, 0.5, 0]


def test_no_crops_give_no_opinions() -> None:
    assert MirroredClassifier(_FakeClassifier()).classify([]) == []


def test_only_stills_are_classified_with_mirror_images() -> None:
    classifier = _FakeClassifier()
    still = MediaInfo("image", "png", 8, 8, 1, None, None, has_audio=False)
    video = MediaInfo("video", "mov", 8, 8, 9, None, None, has_audio=False)
    given = analysis(JobSpec(), classifiers=[classifier])
    assert given.classifiers_for(video) == [classifier]
    [mirrored] = given.classifiers_for(still)
    assert isinstance(mirrored, MirroredClassifier)
    assert (mirrored.name, mirrored.version, mirrored.sha256) == ("multiple", "1", "-")
    assert mirrored.unsure_below == {"pose": 0.4}
    assert (mirrored.crop_scale, mirrored.crop_size) == (1.1, 4)
