"""Waits for changes of jobs: any number of requests wait, one thread looks for all of them."""

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

LOOK_SECONDS = 0.5

_log = logging.getLogger(__name__)


class Watcher:
    """Looks at the jobs that somebody waits for, as long as somebody does. Thread-safe."""

    def __init__(
        self, look: Callable[[Sequence[str]], Mapping[str, JobDocument]], *, places: int
    ) -> None:
        self._look = look
        self._places = places
        self._taken = 0
        self._changed = threading.Condition()
        self._watched: Counter[str] = Counter()
        self._begun = 0  # looks are counted: whoever waits trusts only those begun after it came
        self._done = 0
        self._seen: Mapping[str, JobDocument] = {}
        self._failed: Exception | None = None
        self._thread: threading.Thread | None = None
        self.stopping: Callable[[], bool] = lambda: False  # the server is told to end

    @property
    def waiting(self) -> int:
        """How many requests have a place."""
        return self._taken

    def take_place(self) -> None:
        """Take one of the places for waiting; `leave` gives it back.

        Raises:
            BusyError: there is none.
        """
        with self._changed:
            if self._taken >= self._places:
                raise BusyError(
                    f"{self._places} requests wait for jobs already, as many as this server lets "
                    "wait: ask again later, or without waiting."
                )
            self._taken += 1

    def leave(self) -> None:
        """Give a place back."""
        with self._changed:
            self._taken -= 1

    def next(
        self,
        job_id: str,
        version: str,
        *,
        seconds: float,
        has_left: Callable[[], bool] = lambda: False,
    ) -> JobDocument | None:
        """The job, once its version is another.

        None: the time is over, the server ends, or it seems that who waits has left.

        Raises:
            NotFoundError: the job is gone.
            DatabaseError: the database does not answer.
        """
        deadline = time.monotonic() + seconds
        with self._watching(job_id) as first_look, self._changed:
            while not self.stopping():
                if self._done >= first_look:
                    if self._failed is not None:
                        raise self._failed
                    job = self._seen.get(job_id)
                    if job is None:
                        raise NotFoundError(f"There is no job {job_id}.")
                    if job_version(job) != version:
                        return job
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, 2 * LOOK_SECONDS))
                if has_left():
                    break
        return None

    @contextmanager
    def _watching(self, job_id: str) -> Iterator[int]:
        """Have a job looked at. Gives the number of the first look that counts."""
        with self._changed:
            self._watched[job_id] += 1
            first_look = self._begun + 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()
        try:
            yield first_look
        finally:
            with self._changed:
                self._watched[job_id] -= 1
                if not self._watched[job_id]:
                    del self._watched[job_id]

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._watched:
                    self._thread = None
                    return
                job_ids = list(self._watched)
                self._begun += 1
                number = self._begun
            seen: Mapping[str, JobDocument] = {}
            failed: Exception | None = None
            try:
                seen = self._look(job_ids)
            except FacesJobsError as error:
                failed = error
            except Exception as error:  # noqa: BLE001 (told to whoever waits; the thread goes on)
                _log.exception("can't look at jobs")
                failed = error
            with self._changed:
                self._seen, self._failed, self._done = seen, failed, number
                self._changed.notify_all()
            time.sleep(LOOK_SECONDS)
