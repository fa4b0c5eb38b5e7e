"""Renews a lease while work is done, and notices when the job is cancelled or paused."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import Self

from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    LeaseLostError,
    PausedError,
    StorageFullError,
)

# Work that reports no progress for this long is stuck, in a decoder or a driver that nothing can
# interrupt. A batch of the largest frames on a slow machine takes a minute.
STALL_SECONDS = 600.0

_log = logging.getLogger(__name__)


class StopRequestedError(Exception):
    """This worker was told to stop, and releases its work. Never raised outside the worker."""


class Heartbeat:
    """Renews a lease from a thread of its own. A context manager.

    A thread, because a lease must not depend on how long a batch takes: loading networks, closing
    an encoder or hashing a large file may each take longer than a lease.
    """

    def __init__(
        self,
        renew: Callable[[int, int | None], None],
        *,
        interval_seconds: float,
        stop_requested: threading.Event,
        on_stall: Callable[[], None],
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """`on_stall` is called, once, when the work is stuck; the lease is no longer renewed."""
        self._renew = renew
        self._interval_seconds = interval_seconds
        self._on_stall = on_stall
        self._stall_seconds = stall_seconds
        self._stop_requested = stop_requested
        self._frames: tuple[int, int | None] = (0, None)
        self._progressed_at = time.monotonic()
        self._ended = threading.Event()
        self._wake = threading.Event()  # renew, or end, before the interval has passed
        self._lease_error: CancelledError | LeaseLostError | PausedError | None = None
        # Its log lines carry the same context; a new thread starts with an empty one.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="heartbeat", daemon=True
        )

    def progress(self, frames_done: int, frames_total: int | None) -> None:
        """Report how many frames are done; the pipeline calls this at least once per batch.

        Raises:
            Exception: see `keep_alive`.
        """
        is_first = not self._frames[0]
        self._frames = (frames_done, frames_total)
        if is_first and frames_done:
            self._wake.set()  # so that users see immediately that the job has started
        self.keep_alive()

    def keep_alive(self) -> None:
        """Report activity that has no frame count, such as downloading a file.

        Raises:
            CancelledError, LeaseLostError: the last renewal found the job cancelled or the lease
                lost: stop, and discard the work.
            PausedError: the last renewal found the job paused: stop, and release the work.
            StopRequestedError: this worker was told to stop.
        """
        self._progressed_at = time.monotonic()
        if self._lease_error is not None:
            raise self._lease_error
        if self._stop_requested.is_set():
            raise StopRequestedError

    def stop(self) -> None:
        """Stop renewing. What is left of the lease is the time to record the outcome."""
        self._ended.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._wait_for_end():
            if time.monotonic() - self._progressed_at > self._stall_seconds:
                _log.error("no progress for %.0f s: the work is stuck", self._stall_seconds)
                self._on_stall()
                return
            if self._lease_error is not None:
                continue  # the work may be stuck, and never look at the error
            try:
                self._renew(*self._frames)
            except (CancelledError, LeaseLostError, PausedError) as error:
                self._lease_error = error
            except (DatabaseError, StorageFullError) as error:
                # The next renewal tries again; if the lease has run out by then, it raises.
                _log.warning("the lease could not be renewed: %s", error)

    def _wait_for_end(self) -> bool:
        """Wait for the next renewal. True: the heartbeat was stopped."""
        self._wake.wait(self._interval_seconds)
        self._wake.clear()
        return self._ended.is_set()

    def __enter__(self) -> Self:
        self._renew(*self._frames)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
