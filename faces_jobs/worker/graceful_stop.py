"""Ends a worker within 20 s of a SIGTERM, and immediately on a second one; releases its leases.

Usually the current work notices the first SIGTERM after its batch and releases its segment, and
this module has nothing to do. But a batch, loading a network or closing an encoder may take longer
than the sender of the SIGTERM waits before it kills the process.
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
from functools import partial
from typing import NoReturn

from faces_jobs.db.claims.release import release_all_of
from faces_jobs.db.session import Database
from faces_jobs.worker.exit_now import exit_now

# The sender of a SIGTERM waits 25 s (`faces-jobs up`) or 30 s (Kubernetes) before it kills.
STOP_TIMEOUT_SECONDS = 20.0
_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

_log = logging.getLogger(__name__)


@contextmanager
def graceful_stop(
    *,
    name: str,
    database: Database,
    stop_requested: threading.Event,
    stop_seconds: float = STOP_TIMEOUT_SECONDS,
) -> Iterator[None]:
    """While this is open, SIGTERM or Ctrl-C ends the process in time. Main thread only."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    # Python's own handlers run only in the main thread, which may be busy in a network for long;
    # the wakeup descriptor is written to by the C signal handler itself.
    previous = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    watcher = threading.Thread(
        target=_watch,
        args=(read_end, stop_requested, stop_seconds, name, database),
        name="stopping",
        daemon=True,
    )
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        os.close(write_end)
        watcher.join()
        os.close(read_end)


def _watch(
    read_end: int,
    stop_requested: threading.Event,
    stop_seconds: float,
    name: str,
    database: Database,
) -> None:
    """Read signal numbers from the pipe until it is closed or the process has to end."""
    deadline: float | None = None
    while True:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([read_end], [], [], timeout)[0]:
            _log.warning("the current work did not end in %.0f s: abandoned", stop_seconds)
            _exit_now(name, database)
        numbers = os.read(read_end, 64)
        if not numbers:
            return  # closed: the worker has ended by itself
        for number in numbers:
            if number not in _STOP_SIGNALS:
                continue
            if deadline is not None:
                _log.warning("told to stop a second time: the current work is abandoned")
                _exit_now(name, database)
            deadline = time.monotonic() + stop_seconds
            stop_requested.set()


def _exit_now(name: str, database: Database) -> NoReturn:
    """Release the leases if possible, and end the process whatever it is doing."""
    exit_now(partial(release_all_of, database, name), code=0)
