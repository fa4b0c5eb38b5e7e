from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector
from faces_jobs.worker.warming import warmed
from tests.fakes import ColourClassifier, SquareDetector


class Networks:
    """Networks that tell afterwards whether they were asked."""

    device = "cpu"

    def __init__(self) -> None:
        self.found = SquareDetector()
        self.asked = [ColourClassifier(name) for name in MODELS]

    def detector(self) -> Detector:
        return self.found

    def cropper(self) -> Cropper:
        return crop_pictures

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        return [each for each in self.asked if each.name in names]


class Missing(Networks):
    def detector(self) -> Any:
        raise ModelError("its file is missing")


def test_every_network_has_answered_once_when_work_begins() -> None:
    networks = Networks()
    with warmed(networks):
        pass
    assert networks.found.pictures_seen == 1
    assert [each.crops_seen for each in networks.asked] == [1, 1, 1]


def test_a_network_that_can_t_be_loaded_does_not_keep_a_worker_from_its_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with warmed(Missing()):
        pass
    assert "its file is missing" in caplog.text
