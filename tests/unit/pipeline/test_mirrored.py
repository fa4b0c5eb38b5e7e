"""Faces of stills are judged with their mirror images, and those of videos are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from faces_jobs.jobs.labels import MODELS
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.values import MediaInfo, Opinion, Picture
from tests.fakes import analysis


class _Watched:
    """Says how bright the left half of a crop is as how sure `left` and `bad` are."""

    name, version, sha256 = "multiple", "1", "-"
    heads = MODELS["multiple"]
    unsure_below = {"pose": 0.4}  # noqa: RUF012 (a fake)
    crop_scale, crop_size = 1.1, 4

    def __init__(self) -> None:
        self.asked = 0

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        self.asked += len(crops_bgr)
        return [self._said(float(crop[:, :2].mean()) / 255) for crop in crops_bgr]

    def _said(self, share: float) -> Opinion:
        return {
            "pose": np.array([0, share, 1 - share, 0, 0], np.float32),
            "illumination": np.array([share, 1 - share, 0], np.float32),
        }


def test_what_is_left_in_a_mirror_was_right() -> None:
    crop = np.zeros((4, 4, 3), np.uint8)
    crop[:, :2] = 255  # a face turned left, whose mirror image is turned right
    watched = _Watched()
    [said] = MirroredClassifier(watched).classify([crop])
    assert watched.asked == 2
    assert said["pose"].tolist() == [0, 1, 0, 0, 0]
    assert said["illumination"].tolist() == [0.5, 0.5, 0]


def test_nothing_is_asked_about_nothing() -> None:
    assert MirroredClassifier(_Watched()).classify([]) == []


def test_a_still_alone_is_judged_so() -> None:
    watched = _Watched()
    still = MediaInfo("image", "png", 8, 8, 1, None, None, has_audio=False)
    video = MediaInfo("video", "mov", 8, 8, 9, None, None, has_audio=False)
    given = analysis(JobSpec(), classifiers=[watched])
    assert given.classifiers_for(video) == [watched]
    [asked] = given.classifiers_for(still)
    assert isinstance(asked, MirroredClassifier)
    assert (asked.name, asked.version, asked.sha256) == ("multiple", "1", "-")
    assert (asked.unsure_below, asked.crop_scale, asked.crop_size) == ({"pose": 0.4}, 1.1, 4)
