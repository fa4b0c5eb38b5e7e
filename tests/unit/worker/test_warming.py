from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector
from faces_jobs.worker.warming import background_warmup, measure
from faces_jobs_models.run_sizes import RunTimes
from tests.fakes import ColourClassifier, SquareDetector

MEASURED = RunTimes(frames={1: 0.02, 2: 0.01}, crops={4: 0.001, 8: 0.002})


class Networks:
    """Networks that tell afterwards whether they were asked."""

    device = "cpu"
    has_run_sizes = False

    def __init__(self) -> None:
        self.runs = 0  # measured before anybody stopped it
        self.found = SquareDetector()
        self.asked = [ColourClassifier(name) for name in MODELS]

    def detector(self) -> Detector:
        return self.found

    def cropper(self) -> Cropper:
        return crop_pictures

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        return [each for each in self.asked if each.name in names]

    def measure_run_sizes(self, *, stop: Callable[[], bool]) -> RunTimes | None:
        self.runs += 1
        while not stop():
            if self.runs == 3:
                return MEASURED
            self.runs += 1
        return None


class Missing(Networks):
    def detector(self) -> Any:
        raise ModelError("its file is missing")


def test_every_network_has_answered_once_when_work_begins() -> None:
    networks = Networks()
    with background_warmup(networks, work_started=Event()):
        pass
    assert networks.found.pictures_seen == 1
    assert [each.crops_seen for each in networks.asked] == [1, 1, 1]


def test_a_network_that_can_t_be_loaded_does_not_keep_a_worker_from_its_work(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with background_warmup(Missing(), work_started=Event()):
        pass
    assert "its file is missing" in caplog.text


def test_an_idle_worker_measures_its_networks(caplog: pytest.LogCaptureFixture) -> None:
    networks = Networks()
    caplog.set_level("INFO")
    measure(networks, stop=Event().is_set)
    assert "runs of 2 frames and 4 crops are fastest here" in caplog.text


def test_a_worker_that_has_work_does_not_measure() -> None:
    networks, work_started = Networks(), Event()
    work_started.set()
    with background_warmup(networks, work_started=work_started):
        pass
    assert networks.runs == 0


def test_nothing_is_measured_twice() -> None:
    networks = Networks()
    networks.has_run_sizes = True
    measure(networks, stop=Event().is_set)
    assert networks.runs == 0
