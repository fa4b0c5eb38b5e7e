"""The heartbeat: renews while work is done, and tells the work when it is in vain."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from faces_jobs.errors import CancelledError, DatabaseError, LeaseLostError
from faces_jobs.logs import LineFormatter, log_context
from faces_jobs.worker.heartbeat import Heartbeat, StopRequestedError

SOON = 10.0


class Renewals:
    """A lease that counts its renewals, and answers as it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []
        self.answer: Callable[[], None] = lambda: None
        self.beat = threading.Condition()

    def renew(self, frames_done: int, frames_total: int | None) -> None:
        with self.beat:
            self.seen.append((frames_done, frames_total))
            self.beat.notify_all()
        self.answer()

    def wait_for(self, count: int) -> None:
        with self.beat:
            assert self.beat.wait_for(lambda: len(self.seen) >= count, SOON)


def heartbeat(renewals: Renewals, **changed: object) -> Heartbeat:
    values = {"interval_seconds": 0.01, "stop_requested": threading.Event()} | changed
    return Heartbeat(renewals.renew, **values)  # type: ignore[arg-type]  # as the caller says


def test_it_renews_with_the_latest_progress() -> None:
    renewals = Renewals()
    with heartbeat(renewals) as beat:
        renewals.wait_for(3)
        beat.progress(7, 9)
        count = len(renewals.seen)
        renewals.wait_for(count + 2)

    assert renewals.seen[0] == (0, None)
    assert renewals.seen[-1] == (7, 9)


def test_work_that_goes_on_uncounted_keeps_the_progress_and_is_told_when_it_is_in_vain() -> None:
    renewals, stop = Renewals(), threading.Event()
    with heartbeat(renewals, stop_requested=stop) as beat:
        beat.progress(7, 9)
        beat.keep_alive()
        renewals.wait_for(len(renewals.seen) + 2)
        assert renewals.seen[-1] == (7, 9)
        stop.set()
        with pytest.raises(StopRequestedError):
            beat.keep_alive()


def test_the_first_progress_is_told_at_once() -> None:
    renewals = Renewals()
    with heartbeat(renewals, interval_seconds=3600.0) as beat:
        beat.progress(8, 100)
        renewals.wait_for(2)
        beat.progress(16, 100)
    assert renewals.seen == [(0, None), (8, 100)]


def test_after_its_end_it_renews_no_more() -> None:
    renewals = Renewals()
    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        beat.stop()
        count = len(renewals.seen)
        threading.Event().wait(0.05)
        assert len(renewals.seen) == count


@pytest.mark.parametrize("error", [CancelledError("x"), LeaseLostError("x")])
def test_the_work_is_told_when_it_is_in_vain(error: Exception) -> None:
    renewals = Renewals()

    def refuse() -> None:
        raise error

    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        renewals.answer = refuse
        count = len(renewals.seen)
        renewals.wait_for(count + 1)
        beat.stop()
        with pytest.raises(type(error)):
            beat.progress(1, None)


def test_a_lease_that_is_gone_at_once_is_told_at_once() -> None:
    renewals = Renewals()

    def refuse() -> None:
        raise CancelledError("x")

    renewals.answer = refuse
    with pytest.raises(CancelledError), heartbeat(renewals):
        pytest.fail("the block must not begin")


def test_a_database_that_does_not_answer_is_asked_again() -> None:
    renewals = Renewals()

    def fail() -> None:
        raise DatabaseError("x")

    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        renewals.answer = fail
        renewals.wait_for(len(renewals.seen) + 3)
        beat.progress(1, None)


def test_a_worker_that_is_to_end_stops_the_work() -> None:
    stop = threading.Event()
    with heartbeat(Renewals(), stop_requested=stop) as beat:
        beat.progress(1, None)
        stop.set()
        with pytest.raises(StopRequestedError):
            beat.progress(2, None)


def test_work_that_is_stuck_loses_its_lease() -> None:
    renewals = Renewals()
    with heartbeat(renewals, stall_seconds=0.05) as beat:
        beat._thread.join(SOON)
        assert not beat._thread.is_alive()


def test_its_lines_say_what_the_work_is_about() -> None:
    renewals = Renewals()
    written = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(LineFormatter().format(record))

    def fail() -> None:
        raise DatabaseError("It does not answer.")

    logger = logging.getLogger("faces_jobs.worker.heartbeat")
    handler = Lines()
    logger.addHandler(handler)
    try:
        with log_context(job="j1", segment=7), heartbeat(renewals):
            renewals.answer = fail
            renewals.wait_for(4)
    finally:
        logger.removeHandler(handler)
    assert written
    assert all(" job=j1 segment=7 " in line for line in written)
