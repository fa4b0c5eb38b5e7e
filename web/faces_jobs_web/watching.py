"""Notifies waiting requests of job changes: one thread polls the database for all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from faces_jobs.errors import BusyError, FacesJobsError, NotFoundError
from faces_jobs.jobs.documents import JobDocument
from faces_jobs.results.versions import job_version

POLL_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Watcher:
    """Polls the jobs that requests wait for, while there are any. Thread-safe."""

    def __init__(
        self,
        load_jobs: Callable[[Sequence[str]], Mapping[str, JobDocument]],
        *,
        max_waiters: int,
    ) -> None:
        self._load_jobs = load_jobs
        self._max_waiters = max_waiters
        self._waiters = 0
        self._polled = threading.Condition()
        self._watched: Counter[str] = Counter()
        # Polls are numbered: a waiter trusts only a poll that started after the waiter arrived.
        self._last_started = 0
        self._last_finished = 0
        self._jobs: Mapping[str, JobDocument] = {}
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        self.is_stopping: Callable[[], bool] = lambda: False  # set by the server

    def acquire_slot(self) -> None:
        """Reserve a slot for a waiting request; `release_slot` frees it.

        Raises:
            BusyError: all slots are taken.
        """
        with self._polled:
            if self._waiters >= self._max_waiters:
                raise BusyError(
                    f"{self._max_waiters} requests are already waiting for jobs, the most that "
                    "this server allows: try again later, or poll without waiting."
                )
            self._waiters += 1

    def release_slot(self) -> None:
        """Free a slot that `acquire_slot` reserved."""
        with self._polled:
            self._waiters -= 1

    def wait_for_change(
        self,
        job_id: str,
        version: str,
        *,
        seconds: float,
        has_disconnected: Callable[[], bool] = lambda: False,
    ) -> JobDocument | None:
        """Wait until the job's version differs from `version`, and return the job.

        Returns None when the time is over, the server is stopping, or the client seems to have
        disconnected.

        Raises:
            NotFoundError: the job was deleted.
            DatabaseError: the database does not respond.
        """
        deadline = time.monotonic() + seconds
        with self._watching(job_id) as first_poll, self._polled:
            while not self.is_stopping():
                if self._last_finished >= first_poll:
                    if self._error is not None:
                        raise self._error
                    job = self._jobs.get(job_id)
                    if job is None:
                        raise NotFoundError(f"There is no job {job_id}.")
                    if job_version(job) != version:
                        return job
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    break
                self._polled.wait(min(remaining, 2 * POLL_SECONDS))
                if has_disconnected():
                    break
        return None

    @contextmanager
    def _watching(self, job_id: str) -> Iterator[int]:
        """Include a job in the polls; yields the number of the first poll that covers it."""
        with self._polled:
            self._watched[job_id] += 1
            first_poll = self._last_started + 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()
        try:
            yield first_poll
        finally:
            with self._polled:
                self._watched[job_id] -= 1
                if not self._watched[job_id]:
                    del self._watched[job_id]

    def _run(self) -> None:
        while True:
            with self._polled:
                if not self._watched:
                    self._thread = None
                    return
                job_ids = list(self._watched)
                self._last_started += 1
                number = self._last_started
            jobs: Mapping[str, JobDocument] = {}
            error: Exception | None = None
            try:
                jobs = self._load_jobs(job_ids)
            except FacesJobsError as failure:
                error = failure
            except Exception as failure:  # noqa: BLE001 (raised in the waiters; the thread lives on)
                _log.exception("polling jobs failed")
                error = failure
            with self._polled:
                self._jobs, self._error, self._last_finished = jobs, error, number
                self._polled.notify_all()
            time.sleep(POLL_SECONDS)
