"""The sweep: rings again for what waits too long, gives up on what kills, tidies up files."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from faces_jobs.counters import Counters
from faces_jobs.db.counts import count_all
from faces_jobs.db.overdue import (
    fail_poison,
    fail_poisoned_jobs,
    mark_job_rung,
    mark_segments_rung,
    orphaned_segments,
    waiting_jobs,
    waiting_segments,
)
from faces_jobs.db.processes import delete_silent_processes, set_measures
from faces_jobs.db.scheduling import delete_old_turns
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.space import resume_parked
from faces_jobs.errors import FacesJobsError, StorageFullError
from faces_jobs.presence import Presence
from faces_jobs.queue import CeleryQueue, Queue, open_queue
from faces_jobs.queue_messages import BrokerMessages
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.deliver import deliver_due, delivering
from faces_jobs.worker.first_seen import FirstSeen
from faces_jobs.worker.reconcile import Reconciler
from faces_jobs.worker.reconciler_thread import ReconcilerThread

MOST_AT_ONCE = 256
# Who was served last counts between owners that have work now; after a day it is of no use.
TURNS_SECONDS = 24 * 3600.0
# As long as so many messages wait, workers have enough to come back for, and whoever waits in
# the rows is told later. Without this bound, a backlog would be rung for again and again, and
# the broker would fill up with messages that say the same.
ENOUGH_MESSAGES = 32
# All rows are counted once a minute; or, where that takes long, for a twentieth of the time.
COUNT_EVERY_SECONDS = 60.0
COUNT_SHARE = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one round found."""

    segments_rung: int
    jobs_rung: int
    given_up: int
    resumed: int = 0


def run_sweep(settings: Settings, *, once: bool = False) -> None:
    """Sweep every so often until TERM or Ctrl-C; or once.

    Raises:
        DatabaseError: at the start; or, with `once`, at any time, as QueueError is.
    """
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    storage = open_storage(settings)
    with open_database(settings.database) as database, open_queue(settings) as queue:
        if once:
            report = sweep(database, queue, settings)
            reconciler = _reconciler(database, queue, storage, settings)
            reconciler.run_round(rung=report.segments_rung + report.jobs_rung)
            deliver_due(database, settings)
            _log.info("%s", report)
            return
        previous = {
            number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)
        }
        counters = Counters()
        presence = Presence(
            database, kind="sweep", every_seconds=settings.presence_seconds, counters=counters
        )
        try:
            with presence:
                run_rounds(database, queue, storage, settings, stop, counters=counters)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def run_rounds(
    database: Database,
    queue: CeleryQueue,
    storage: Storage,
    settings: Settings,
    stop: threading.Event,
    *,
    counters: Counters,
) -> None:
    """Round after round, with webhooks and comparisons beside them, until it is told to stop."""
    beside = ReconcilerThread(
        _reconciler(database, queue, storage, settings, FirstSeen()),
        every_seconds=settings.reconcile_seconds,
        counters=counters,
    )
    with delivering(database, settings), beside:
        _loop(database, queue, settings, stop, counters=counters, count_rung=beside.count_rung)


def sweep(
    database: Database, queue: Queue, settings: Settings, *, counters: Counters | None = None
) -> SweepReport:
    """One round. Safe to run anywhere, any number of times, at the same time.

    What it does is counted as it is done, since the round may be cut short.

    Raises:
        DatabaseError, QueueError: one of them does not answer; what was done is done.
    """
    counters = counters or Counters()
    counters.add("sweeps")
    given_up, to_finish = fail_poison(
        database, max_attempts=settings.max_attempts, limit=MOST_AT_ONCE
    )
    counters.add("poison", given_up)
    of_jobs = fail_poisoned_jobs(database, max_attempts=settings.max_attempts, limit=MOST_AT_ONCE)
    counters.add("poison", of_jobs)
    resumed = _resume_parked(database, settings)
    jobs = {
        *to_finish,
        *waiting_jobs(
            database,
            ring_again_seconds=settings.ring_again_seconds,
            max_attempts=settings.max_attempts,
            limit=MOST_AT_ONCE,
        ),
    }
    for job_id in jobs:
        queue.ring_job(job_id)
        counters.add("rings", label="job")
        mark_job_rung(database, job_id)
    segments = orphaned_segments(
        database,
        ring_again_seconds=settings.ring_again_seconds,
        max_attempts=settings.max_attempts,
        limit=MOST_AT_ONCE,
    )
    if queue.depth() < ENOUGH_MESSAGES:
        segments += waiting_segments(
            database, ring_again_seconds=settings.ring_again_seconds, limit=MOST_AT_ONCE
        )
    for segment_id in segments:
        queue.ring_segment(segment_id)
        counters.add("rings", label="segment")
    mark_segments_rung(database, segments)
    return SweepReport(len(segments), len(jobs), given_up + of_jobs, resumed)


def _resume_parked(database: Database, settings: Settings) -> int:
    """Let jobs go on that wait for space, if there is room."""
    try:
        open_storage(settings).check_room()
    except StorageFullError:
        return 0
    except OSError as error:  # what waits for no room is rung for all the same
        _log.warning("it can't be seen whether there is room: %s", error)
        return 0
    return len(resume_parked(database, limit=MOST_AT_ONCE))


def _loop(
    database: Database,
    queue: Queue,
    settings: Settings,
    stop: threading.Event,
    *,
    counters: Counters,
    count_rung: Callable[[int], None],
) -> None:
    count_at = time.monotonic()
    while not stop.is_set():
        with _going_on():
            report = sweep(database, queue, settings, counters=counters)
            count_rung(report.segments_rung + report.jobs_rung)
            if report != SweepReport(0, 0, 0):
                _log.info("%s", report)
        # Beside the round above: what is wrong with the broker stops nothing here.
        with _going_on():
            _forget_silent(database, settings)
            delete_old_turns(database, older_than_seconds=TURNS_SECONDS)
        if time.monotonic() >= count_at:
            began = time.monotonic()
            with _going_on():
                set_measures(database, count_all(database))
            took = time.monotonic() - began
            count_at = began + max(COUNT_EVERY_SECONDS, COUNT_SHARE * took)
        stop.wait(settings.sweep_seconds)


@contextmanager
def _going_on() -> Iterator[None]:
    """Tell what is wrong, and leave the rest to the next round."""
    try:
        yield
    except (FacesJobsError, OSError) as error:
        _log.warning("this round was cut short, the next one goes on: %s", error)


def _reconciler(
    database: Database,
    queue: CeleryQueue,
    storage: Storage,
    settings: Settings,
    first_seen: FirstSeen | None = None,
) -> Reconciler:
    return Reconciler(
        database=database,
        messages=BrokerMessages(queue.app),
        storage=storage,
        settings=settings,
        first_seen=first_seen,
    )


def _forget_silent(database: Database, settings: Settings) -> None:
    for name in delete_silent_processes(database, silent_seconds=settings.silent_seconds):
        _log.warning("process %s told nothing for %.0f s: gone", name, settings.silent_seconds)
