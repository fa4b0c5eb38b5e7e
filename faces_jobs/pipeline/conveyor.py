"""Passes numbered batches from one thread through workers to another, in order and bounded."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from faces_jobs.pipeline.timing import StageTimer

T = TypeVar("T")


class StoppedError(Exception):
    """This thread must stop: an earlier batch has failed, or the conveyor was stopped."""


class Conveyor(Generic[T]):
    """One thread puts batches on it, any number work on them, one takes them off in order.

    Errors keep the order, too: the batches before a failed one come out first, then its error is
    raised by the iterator. So a run ends the same way, however its threads were scheduled.
    """

    def __init__(self, *, max_batches: int, wait_timer: StageTimer) -> None:
        """Hold up to `max_batches`, each from its `put` until the next one is taken off.

        `wait_timer` measures the waiting: "decode" in `put`, "lanes" in `work` and `turn`, "sinks"
        in the iterator.
        """
        self._max_batches = max_batches
        self._wait_timer = wait_timer
        self._changed = threading.Condition()
        self._pending: deque[T] = deque()  # put, but not started
        self._finished: dict[int, T] = {}
        # The number of the next batch to be put, started and taken off.
        self._next_put = self._next_start = self._next_off = 0
        self._next_turn: Counter[str] = Counter()  # the same for each block, by its name
        self._ended = self._stopped = False
        self._failure: tuple[int, BaseException] | None = None  # the first failed batch

    def put(self, batch: T) -> None:
        """Add the next batch, as soon as there is room.

        Raises:
            StoppedError: an earlier batch has failed, or the conveyor was stopped.
        """
        with self._changed:
            self._wait(
                "decode",
                lambda: self._next_put - self._next_off < self._max_batches,
                self._next_put,
            )
            self._pending.append(batch)
            self._next_put += 1
            self._changed.notify_all()

    def end(self) -> None:
        """Declare that there are no more batches to put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail_source(self, error: BaseException) -> None:
        """Declare that producing the next batch failed with this error."""
        with self._changed:
            self._fail(self._next_put, error)

    def work(self, work: Callable[[int, T], None]) -> None:
        """Call `work` with each batch and its number, until there are none. Run it in each worker.

        An exception raised by `work` fails its batch.
        """
        while (started := self._start()) is not None:
            number, batch = started
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
                del started, batch  # release its frames before waiting for the next one
                self._changed.notify_all()

    @contextmanager
    def turn(self, number: int, name: str) -> Iterator[None]:
        """Enter the block of this name once all batches before this one have left it.

        Raises:
            StoppedError: an earlier batch has failed, or the conveyor was stopped.
        """
        with self._changed:
            self._wait("lanes", lambda: self._next_turn[name] == number, number)
        yield
        with self._changed:
            self._next_turn[name] += 1
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Take off the finished batches in order.

        Raises:
            BaseException: whatever the next batch failed with.
        """
        while True:
            with self._changed:
                with self._wait_timer.measure("sinks"):
                    self._changed.wait_for(self._is_decided)
                if self._next_off not in self._finished:
                    if self._failure is not None and self._failure[0] == self._next_off:
                        raise self._failure[1]
                    return
                batch = self._finished.pop(self._next_off)
            yield batch
            del batch  # release its frames before making room for another batch
            with self._changed:
                self._next_off += 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Stop all threads; each gets a `StoppedError` where it next waits."""
        with self._changed:
            self._stopped = True
            self._pending.clear()
            self._finished.clear()
            self._changed.notify_all()

    def _start(self) -> tuple[int, T] | None:
        """Take the next batch to work on, and its number; None if there are no more."""
        with self._changed:
            try:
                self._wait("lanes", lambda: bool(self._pending) or self._ended, self._next_start)
            except StoppedError:
                return None
            if not self._pending:
                return None
            self._next_start += 1
            return self._next_start - 1, self._pending.popleft()

    def _wait(self, stage: str, until: Callable[[], bool], number: int) -> None:
        with self._wait_timer.measure(stage):
            self._changed.wait_for(lambda: self._is_over(number) or until())
        if self._is_over(number):
            raise StoppedError

    def _is_over(self, number: int) -> bool:
        has_failed_before = self._failure is not None and self._failure[0] <= number
        return self._stopped or has_failed_before

    def _is_decided(self) -> bool:
        """Whether the next batch is finished, has failed or won't come."""
        number = self._next_off
        return (
            self._stopped
            or number in self._finished
            or (self._ended and number == self._next_put)
            or (self._failure is not None and self._failure[0] == number)
        )

    def _fail(self, number: int, error: BaseException) -> None:
        if self._failure is None or number < self._failure[0]:
            self._failure = number, error
        self._changed.notify_all()
