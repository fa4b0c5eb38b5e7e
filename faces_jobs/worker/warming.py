"""Loads and measures the networks while a worker waits, so that its first job starts at once."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator

import numpy as np

from faces_jobs.errors import FacesJobsError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.worker.resources import WorkerNetworks

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def background_warmup(networks: WorkerNetworks, *, work_started: threading.Event) -> Iterator[None]:
    """Load all networks in a background thread while the block runs.

    If run sizes were not measured on this machine before, the thread then measures them, until
    `work_started` is set: then the worker's next start measures them.
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
    """Load all networks and run each once, since the first run is slow.

    An error is only logged: the first job that needs the network fails with it.
    """
    try:
        networks.detector().detect([np.zeros((360, 640, 3), np.uint8)])
        for classifier in networks.classifiers(list(MODELS)):
            size = classifier.crop_size
            classifier.classify([np.zeros((size, size, 3), np.uint8)])
    except FacesJobsError as error:
        _log.warning("a network can't be loaded yet: %s", error)


def measure(networks: WorkerNetworks, *, stop: Callable[[], bool]) -> None:
    """Measure run sizes, unless they were measured on this machine before, until `stop` is True."""
    try:
        if networks.has_run_sizes or stop():
            return
        measured = networks.measure_run_sizes(stop=stop)
    except FacesJobsError as error:
        _log.warning("a network can't be measured yet: %s", error)
        return
    if measured is not None:
        _log.info(
            "runs of %d frames and %d crops are fastest here",
            measured.best.frames_a_run,
            measured.best.crops_a_run,
        )
