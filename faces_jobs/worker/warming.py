"""Loads the networks while a worker waits for its first work, so that this begins at once."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

import numpy as np

from faces_jobs.errors import FacesJobsError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.worker.resources import Networks

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def warmed(networks: Networks) -> Iterator[None]:
    """Load every network, in a thread of its own, while the block goes on."""
    thread = threading.Thread(target=warm, args=(networks,), name="warm", daemon=True)
    thread.start()
    yield
    thread.join()


def warm(networks: Networks) -> None:
    """Load every network and let each answer once: the first answer takes much longer.

    What is wrong with one is the trouble of the first job that asks for it, not of this worker.
    """
    try:
        networks.detector().detect([np.zeros((360, 640, 3), np.uint8)])
        for each in networks.classifiers(list(MODELS)):
            each.classify([np.zeros((each.crop_size, each.crop_size, 3), np.uint8)])
    except FacesJobsError as error:
        _log.warning("a network can't be loaded yet: %s", error)
