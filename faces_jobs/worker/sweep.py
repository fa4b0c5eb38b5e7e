"""The sweep: rings again for what waits too long, gives up on what kills, tidies up files."""

from __future__ import annotations

import logging
import signal
import threading
import time
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
from faces_jobs.db.processes import forget_silent_processes, set_measures
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.space import resume_parked
from faces_jobs.db.turns import forget_turns
from faces_jobs.errors import DatabaseError, QueueError, StorageFullError
from faces_jobs.presence import Presence
from faces_jobs.queue import CeleryQueue, Queue, open_queue
from faces_jobs.queue_messages import BrokerMessages
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.deliver import deliver_due, delivering
from faces_jobs.worker.reconcile import Reconciler

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
            reconciler.look(rung=report.segments_rung + report.jobs_rung)
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
            with presence, delivering(database, settings):
                _loop(database, queue, storage, settings, stop, counters=counters)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def sweep(database: Database, queue: Queue, settings: Settings) -> SweepReport:
    """One round. Safe to run anywhere, any number of times, at the same time.

    Raises:
        DatabaseError, QueueError: one of them does not answer; what was done is done.
    """
    given_up, to_finish = fail_poison(
        database, max_attempts=settings.max_attempts, limit=MOST_AT_ONCE
    )
    given_up += fail_poisoned_jobs(database, max_attempts=settings.max_attempts, limit=MOST_AT_ONCE)
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
    mark_segments_rung(database, segments)
    return SweepReport(len(segments), len(jobs), given_up, resumed)


def _resume_parked(database: Database, settings: Settings) -> int:
    """Let jobs go on that wait for space, if there is room."""
    try:
        open_storage(settings).check_room()
    except StorageFullError:
        return 0
    return len(resume_parked(database, limit=MOST_AT_ONCE))


def _loop(
    database: Database,
    queue: CeleryQueue,
    storage: Storage,
    settings: Settings,
    stop: threading.Event,
    *,
    counters: Counters,
) -> None:
    compare_at = count_at = time.monotonic()
    reconciler = _reconciler(database, queue, storage, settings)
    rung = 0
    while not stop.is_set():
        try:
            report = sweep(database, queue, settings)
            if report != SweepReport(0, 0, 0):
                _log.info("%s", report)
            _count(report, counters)
            rung += report.segments_rung + report.jobs_rung
            _forget_silent(database, settings)
            forget_turns(database, older_than_seconds=TURNS_SECONDS)
            if time.monotonic() >= count_at:
                began = time.monotonic()
                set_measures(database, count_all(database))
                took = time.monotonic() - began
                count_at = began + max(COUNT_EVERY_SECONDS, COUNT_SHARE * took)
        except (DatabaseError, QueueError, StorageFullError) as error:
            _log.warning("this round was cut short, the next one goes on: %s", error)
        if time.monotonic() >= compare_at:
            # Beside the round above: what is wrong with the broker stops nothing here.
            compare_at = time.monotonic() + settings.reconcile_seconds
            for what, count in reconciler.look(rung=rung).mended().items():
                counters.add("mended", count, label=what)
            rung = 0
        stop.wait(settings.sweep_seconds)


def _reconciler(
    database: Database, queue: CeleryQueue, storage: Storage, settings: Settings
) -> Reconciler:
    return Reconciler(
        database=database,
        messages=BrokerMessages(queue.app),
        storage=storage,
        settings=settings,
    )


def _count(report: SweepReport, counters: Counters) -> None:
    counters.add("sweeps")
    counters.add("rings", report.segments_rung, label="segment")
    counters.add("rings", report.jobs_rung, label="job")
    counters.add("poison", report.given_up)


def _forget_silent(database: Database, settings: Settings) -> None:
    for name in forget_silent_processes(database, silent_seconds=settings.silent_seconds):
        _log.warning("process %s told nothing for %.0f s: gone", name, settings.silent_seconds)
