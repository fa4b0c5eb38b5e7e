"""Keeps a lease while work is done, and learns of a cancel or a pause on the way."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    LeaseLostError,
    PausedError,
    StorageFullError,
)

# Work that shows no progress for so long is stuck: its lease is let go, so that another worker
# gets it. A batch of the largest frames on a slow machine takes a minute.
STALL_SECONDS = 600.0

_log = logging.getLogger(__name__)


class StopRequestedError(Exception):
    """This worker was told to stop: the work goes back for others. Never leaves the worker."""


class Heartbeat:
    """Renews a lease from a thread of its own, `with` it open.

    A thread, because no batch should have to be quick for a lease to hold: loading networks,
    closing an encoder or hashing a large file may each take longer than a lease.
    """

    def __init__(
        self,
        renew: Callable[[int, int | None], None],
        *,
        every_seconds: float,
        stop_requested: threading.Event,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._renew = renew
        self._every_seconds = every_seconds
        self._stall_seconds = stall_seconds
        self._stop_requested = stop_requested
        self._frames: tuple[int, int | None] = (0, None)
        self._progressed_at = time.monotonic()
        self._ended = threading.Event()
        self._awake = threading.Event()  # to beat, or to end, before the time
        self._lost: CancelledError | LeaseLostError | PausedError | None = None
        # Its lines are about the same work: a thread begins with an empty context.
        here = contextvars.copy_context()
        self._thread = threading.Thread(
            target=here.run, args=(self._beat,), name="heartbeat", daemon=True
        )

    def progress(self, frames_done: int, frames_total: int | None) -> None:
        """Tell how far the work is; the pipeline calls it at least once a batch.

        Raises:
            Exception: see `keep_alive`.
        """
        is_first = not self._frames[0]
        self._frames = (frames_done, frames_total)
        if is_first and frames_done:
            self._awake.set()  # who waits sees at once that it goes on
        self.keep_alive()

    def keep_alive(self) -> None:
        """Tell that work goes on whose frames are not counted, such as bringing a file.

        Raises:
            CancelledError, LeaseLostError: a renewal said so: stop, this work is in vain.
            PausedError: a renewal said so: stop, the work goes back.
            StopRequestedError: this worker is to end.
        """
        self._progressed_at = time.monotonic()
        self.check()
        if self._stop_requested.is_set():
            raise StopRequestedError

    def check(self) -> None:
        """See whether the lease still holds, as far as is known.

        Raises:
            CancelledError, LeaseLostError, PausedError: it does not.
        """
        if self._lost is not None:
            raise self._lost

    def stop(self) -> None:
        """Renew no more. The lease that is left is what ending the work may take."""
        self._ended.set()
        self._awake.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._is_over():
            if time.monotonic() - self._progressed_at > self._stall_seconds:
                _log.error("no progress for %.0f s: letting the lease go", self._stall_seconds)
                return
            try:
                self._renew(*self._frames)
            except (CancelledError, LeaseLostError, PausedError) as error:
                self._lost = error
                return
            except (DatabaseError, StorageFullError) as error:
                # The next beat tries again; if that takes too long, a later one says "lost".
                _log.warning("the lease could not be renewed: %s", error)

    def _is_over(self) -> bool:
        self._awake.wait(self._every_seconds)
        self._awake.clear()
        return self._ended.is_set()

    def __enter__(self) -> Self:
        self._renew(*self._frames)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
