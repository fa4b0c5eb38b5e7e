"""Loads and measures the networks while a worker waits, so that its first work begins at once."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import numpy as np

from faces_jobs.errors import FacesJobsError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.pipeline.tracking import pair_boxes
from faces_jobs.worker.resources import WorkerNetworks

_A_BOX = np.array([[0.0, 0.0, 1.0, 1.0]])

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def warmed(networks: WorkerNetworks, *, work_started: threading.Event) -> Iterator[None]:
    """Load every network, in a thread of its own, while the block goes on.

    On a machine where it was not done before, the thread then measures how many frames and crops
    a run are best; it leaves that to the next start when work has `work_started`.
    """
    ended = threading.Event()

    def stop() -> bool:
        return work_started.is_set() or ended.is_set()

    def prepare() -> None:
        warm(networks)
        measure(networks, stop=stop)

    thread = threading.Thread(target=prepare, name="warm", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def warm(networks: WorkerNetworks) -> None:
    """Load every network, and what pairs boxes, and let each answer once: the first takes long.

    What is wrong with one is the trouble of the first job that asks for it, not of this worker.
    """
    try:
        networks.detector().detect([np.zeros((360, 640, 3), np.uint8)])
        for each in networks.classifiers(list(MODELS)):
            each.classify([np.zeros((each.crop_size, each.crop_size, 3), np.uint8)])
        pair_boxes(_A_BOX, _A_BOX)
    except FacesJobsError as error:
        _log.warning("a network can't be loaded yet: %s", error)


def measure(networks: WorkerNetworks, *, stop: Callable[[], bool]) -> None:
    """Measure run sizes, where that was not done on this machine, until `stop` says so."""
    try:
        if networks.runs_as_measured or stop():
            return
        measured = networks.measure_run_sizes(stop=stop)
    except FacesJobsError as error:
        _log.warning("a network can't be measured yet: %s", error)
        return
    if measured is not None:
        _log.info(
            "runs of %d frames and %d crops are quickest here",
            measured.best.frames_a_run,
            measured.best.crops_a_run,
        )
