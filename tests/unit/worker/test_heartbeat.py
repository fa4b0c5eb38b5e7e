"""The heartbeat renews the lease while work is done, and stops work that has become useless."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from faces_jobs.errors import CancelledError, DatabaseError, LeaseLostError
from faces_jobs.logs import LineFormatter, log_context
from faces_jobs.worker.heartbeat import Heartbeat, StopRequestedError

TIMEOUT_SECONDS = 10.0


class Renewals:
    """A lease that records its renewals; `respond` may let them fail."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int | None]] = []
        self.respond: Callable[[], None] = lambda: None
        self.renewed = threading.Condition()

    def renew(self, frames_done: int, frames_total: int | None) -> None:
        with self.renewed:
            self.seen.append((frames_done, frames_total))
            self.renewed.notify_all()
        self.respond()

    def wait_for(self, count: int) -> None:
        with self.renewed:
            assert self.renewed.wait_for(lambda: len(self.seen) >= count, TIMEOUT_SECONDS)


def heartbeat(renewals: Renewals, **overrides: object) -> Heartbeat:
    values = {
        "interval_seconds": 0.01,
        "stop_requested": threading.Event(),
        "on_stall": lambda: None,
    } | overrides
    return Heartbeat(renewals.renew, **values)  # type: ignore[arg-type]  # any option


def test_the_latest_progress_is_sent_with_each_renewal() -> None:
    renewals = Renewals()
    with heartbeat(renewals) as beat:
        renewals.wait_for(3)
        beat.progress(7, 9)
        count = len(renewals.seen)
        renewals.wait_for(count + 2)

    assert renewals.seen[0] == (0, None)
    assert renewals.seen[-1] == (7, 9)


def test_work_without_a_count_keeps_the_progress_and_can_be_stopped() -> None:
    renewals, stop = Renewals(), threading.Event()
    with heartbeat(renewals, stop_requested=stop) as beat:
        beat.progress(7, 9)
        beat.keep_alive()
        renewals.wait_for(len(renewals.seen) + 2)
        assert renewals.seen[-1] == (7, 9)
        stop.set()
        with pytest.raises(StopRequestedError):
            beat.keep_alive()


def test_the_first_progress_is_sent_immediately() -> None:
    renewals = Renewals()
    with heartbeat(renewals, interval_seconds=3600.0) as beat:
        beat.progress(8, 100)
        renewals.wait_for(2)
        beat.progress(16, 100)
    assert renewals.seen == [(0, None), (8, 100)]


def test_a_stopped_heartbeat_renews_no_more() -> None:
    renewals = Renewals()
    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        beat.stop()
        count = len(renewals.seen)
        threading.Event().wait(0.05)
        assert len(renewals.seen) == count


@pytest.mark.parametrize("error", [CancelledError("x"), LeaseLostError("x")])
def test_work_that_was_cancelled_or_has_lost_its_lease_is_stopped(error: Exception) -> None:
    renewals = Renewals()

    def refuse() -> None:
        raise error

    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        renewals.respond = refuse
        count = len(renewals.seen)
        renewals.wait_for(count + 1)
        beat.stop()
        with pytest.raises(type(error)):
            beat.progress(1, None)


def test_work_does_not_begin_if_the_first_renewal_fails() -> None:
    renewals = Renewals()

    def refuse() -> None:
        raise CancelledError("x")

    renewals.respond = refuse
    with pytest.raises(CancelledError), heartbeat(renewals):
        pytest.fail("the block must not begin")


def test_renewals_continue_after_a_database_error() -> None:
    renewals = Renewals()

    def fail() -> None:
        raise DatabaseError("x")

    with heartbeat(renewals) as beat:
        renewals.wait_for(2)
        renewals.respond = fail
        renewals.wait_for(len(renewals.seen) + 3)
        beat.progress(1, None)


def test_a_worker_that_shuts_down_stops_the_work() -> None:
    stop = threading.Event()
    with heartbeat(Renewals(), stop_requested=stop) as beat:
        beat.progress(1, None)
        stop.set()
        with pytest.raises(StopRequestedError):
            beat.progress(2, None)


def test_the_lease_of_stalled_work_is_no_longer_renewed() -> None:
    renewals, stalled = Renewals(), threading.Event()
    with heartbeat(renewals, stall_seconds=0.05, on_stall=stalled.set) as beat:
        assert stalled.wait(TIMEOUT_SECONDS)
        beat._thread.join(TIMEOUT_SECONDS)
        assert not beat._thread.is_alive()


def test_work_that_is_stuck_is_noticed_after_its_job_was_cancelled_too() -> None:
    renewals, stalled = Renewals(), threading.Event()

    def cancel() -> None:
        raise CancelledError

    with heartbeat(renewals, stall_seconds=0.1, on_stall=stalled.set):
        renewals.respond = cancel
        assert stalled.wait(TIMEOUT_SECONDS)


def test_its_log_lines_have_the_context_of_the_work() -> None:
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
            renewals.respond = fail
            renewals.wait_for(4)
    finally:
        logger.removeHandler(handler)
    assert written
    assert all(" job=j1 segment=7 " in line for line in written)
