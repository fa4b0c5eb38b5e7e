"""Carries numbered batches from one thread through others to a third, in order and bounded."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from faces_jobs.pipeline.timing import StageSeconds

T = TypeVar("T")


class StoppedError(Exception):
    """The work is over for this thread: another one failed before, or nobody wants the rest."""


class Conveyor(Generic[T]):
    """One thread puts batches on it, any number work on them, one takes them off in order.

    What fails, fails in order too: the batches before it are handed out first, then the error is
    raised where they are taken off. So a run ends the same way however its threads were timed.
    """

    def __init__(self, *, most: int, waiting: StageSeconds) -> None:
        """Hold at most so many batches, from `put` until the next one is taken off.

        `waiting` is told how long `put`, `work` (with `turn`) and taking off had to wait.
        """
        self._most = most
        self._waited = waiting
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()  # put, and not yet begun
        self._finished: dict[int, T] = {}
        self._put = self._begun = self._off = 0  # numbers of the next batch
        self._turns: Counter[str] = Counter()  # the same, of each block by its name
        self._ended = self._stopped = False
        self._failure: tuple[int, BaseException] | None = None

    def put(self, batch: T) -> None:
        """Put the next batch on, once there is room.

        Raises:
            StoppedError: nobody wants it any more.
        """
        with self._changed:
            self._wait("decode", lambda: self._put - self._off < self._most, self._put)
            self._waiting.append(batch)
            self._put += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Tell that the last batch was put on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail_source(self, error: BaseException) -> None:
        """Tell that instead of the next batch there is this error."""
        with self._changed:
            self._fail(self._put, error)

    def work(self, work: Callable[[int, T], None]) -> None:
        """Work on one batch after another, until there is none; may be called by many threads.

        What `work` raises fails its batch.
        """
        while (begun := self._begin()) is not None:
            number, batch = begun
            try:
                work(number, batch)
            except StoppedError:
                return
            except BaseException as error:  # noqa: BLE001 (raised again by `__iter__`)
                with self._changed:
                    self._fail(number, error)
                return
            with self._changed:
                self._finished[number] = batch
                del begun, batch  # its frames are not to be held while this waits for the next
                self._changed.notify_all()

    @contextmanager
    def turn(self, number: int, at: str) -> Iterator[None]:
        """Wait until the block of this name was left for all batches before this one.

        Raises:
            StoppedError: a batch before this one has failed, or nobody wants it any more.
        """
        with self._changed:
            self._wait("lanes", lambda: self._turns[at] == number, number)
        yield
        with self._changed:
            self._turns[at] += 1
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Take off one finished batch after another, in order.

        Raises:
            BaseException: what the next batch has failed with.
        """
        while True:
            with self._changed:
                with self._waited.of("sinks"):
                    self._changed.wait_for(self._is_decided)
                if self._off not in self._finished:
                    if self._failure is not None and self._failure[0] == self._off:
                        raise self._failure[1]
                    return
                batch = self._finished.pop(self._off)
            yield batch
            del batch  # the room that is made below is that of its frames
            with self._changed:
                self._off += 1
                self._changed.notify_all()

    def stop(self) -> None:
        """End the work of all threads: each learns of it where it next waits."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._finished.clear()
            self._changed.notify_all()

    def _begin(self) -> tuple[int, T] | None:
        with self._changed:
            try:
                self._wait("lanes", lambda: bool(self._waiting) or self._ended, self._begun)
            except StoppedError:
                return None
            if not self._waiting:
                return None
            self._begun += 1
            return self._begun - 1, self._waiting.popleft()

    def _wait(self, stage: str, until: Callable[[], bool], number: int) -> None:
        with self._waited.of(stage):
            self._changed.wait_for(lambda: self._is_over(number) or until())
        if self._is_over(number):
            raise StoppedError

    def _is_over(self, number: int) -> bool:
        failed_before = self._failure is not None and self._failure[0] <= number
        return self._stopped or failed_before

    def _is_decided(self) -> bool:
        number = self._off
        return (
            self._stopped
            or number in self._finished
            or (self._ended and number == self._put)
            or (self._failure is not None and self._failure[0] == number)
        )

    def _fail(self, number: int, error: BaseException) -> None:
        if self._failure is None or number < self._failure[0]:
            self._failure = number, error
        self._changed.notify_all()
