"""Warming up a worker: its networks are loaded and measured while it waits for work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

import pytest

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.protocols import Classifier, Cropper, Detector
from faces_jobs.worker.warming import background_warmup, measure
from faces_jobs_models.run_sizes import RunTimes
from tests.fakes import ColourClassifier, SquareDetector

MEASURED = RunTimes(frames={1: 0.02, 2: 0.01}, crops={4: 0.001, 8: 0.002})


class Networks:
    """Networks that record whether they were used and measured."""

    device = "cpu"
    has_run_sizes = False

    def __init__(self) -> None:
        self.runs = 0  # that were measured so far
        self.square_detector = SquareDetector()
        self.colour_classifiers = [ColourClassifier(name) for name in MODELS]

    def detector(self, detection_size: int = 640) -> Detector:  # noqa: ARG002 (as the protocol)
        return self.square_detector

    def cropper(self) -> Cropper:
        return crop_pictures

    def classifiers(self, names: Sequence[str]) -> Sequence[Classifier]:
        return [each for each in self.colour_classifiers if each.name in names]

    def measure_run_sizes(self, *, stop: Callable[[], bool]) -> RunTimes | None:
        self.runs += 1
        while not stop():
            if self.runs == 3:
                return MEASURED
            self.runs += 1
        return None


class MissingDetector(Networks):
    def detector(self, detection_size: int = 640) -> Any:  # noqa: ARG002 (as the protocol)
        raise ModelError("its file is missing")


def test_warming_runs_every_network_once() -> None:
    networks = Networks()
    with background_warmup(networks, work_started=Event()):
        pass
    assert networks.square_detector.pictures_seen == 1
    assert [each.crops_seen for each in networks.colour_classifiers] == [1, 1, 1]


def test_a_network_that_can_t_be_loaded_is_logged_and_does_not_stop_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with background_warmup(MissingDetector(), work_started=Event()):
        pass
    assert "its file is missing" in caplog.text


def test_an_idle_worker_measures_its_networks(caplog: pytest.LogCaptureFixture) -> None:
    networks = Networks()
    caplog.set_level("INFO")
    measure(networks, stop=Event().is_set)
    assert "runs of 2 frames and 4 crops are fastest here" in caplog.text


def test_a_worker_that_has_work_measures_nothing() -> None:
    networks, work_started = Networks(), Event()
    work_started.set()
    with background_warmup(networks, work_started=work_started):
        pass
    assert networks.runs == 0


def test_networks_that_are_measured_already_are_not_measured_again() -> None:
    networks = Networks()
    networks.has_run_sizes = True
    measure(networks, stop=Event().is_set)
    assert networks.runs == 0
