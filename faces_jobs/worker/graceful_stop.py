"""Ends a worker in time: within 20 s of a TERM, at once after a second; its leases are released.

Usually the work in hand sees the first TERM after its batch, hands its segment back, and none of
this is needed. But a batch, a network that loads or an encoder that closes may take longer than
whoever sent the TERM waits, and then kills.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from faces_jobs.db.release import release_all_of
from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError

# Whoever sends TERM waits 25 s (`faces-jobs up`) or 30 s (Kubernetes) before it kills.
STOP_SECONDS = 20.0
# A database that does not answer must not keep the process: its leases then run out.
RELEASE_SECONDS = 1.5
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})

_log = logging.getLogger(__name__)


@contextmanager
def graceful_stop(
    *,
    name: str,
    database: Database,
    stop_requested: threading.Event,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[None]:
    """While this is open, a TERM or Ctrl-C ends the process in time. For the main thread alone."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    # Python's own handlers wait for the main thread, which may be deep in a network; what is
    # written here is written by the signal itself.
    previous = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    watcher = threading.Thread(
        target=_watch,
        args=(told, stop_requested, stop_seconds, name, database),
        name="stopping",
        daemon=True,
    )
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(tell)
        watcher.join()
        os.close(told)


def _watch(
    told: int, stop_requested: threading.Event, stop_seconds: float, name: str, database: Database
) -> None:
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([told], [], [], left)[0]:
            _log.warning("the work in hand did not end in %.0f s: left as it is", stop_seconds)
            _leave(name, database)
        numbers = os.read(told, 64)
        if not numbers:
            return  # the end came by itself
        for number in numbers:
            if number not in _ENDING:
                continue
            if deadline is not None:
                _log.warning("told to stop a second time: the work in hand is left as it is")
                _leave(name, database)
            deadline = time.monotonic() + stop_seconds
            stop_requested.set()


def _leave(name: str, database: Database) -> None:
    """Release the leases if that is possible, and end the process now, whatever it is at."""
    released = threading.Event()

    def release() -> None:
        try:
            release_all_of(database, name)
            released.set()
        except FacesJobsError as error:
            _log.warning("not released, the leases will run out: %s", error)

    threading.Thread(target=release, name="release", daemon=True).start()
    code = 0 if released.wait(RELEASE_SECONDS) else 1
    logging.shutdown()
    os._exit(code)
