"""The sweep: rings again for waiting work, fails poisoned work, and removes what is left behind."""

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
from faces_jobs.db.claims.scheduling import delete_old_turns
from faces_jobs.db.counts import count_all
from faces_jobs.db.future_times import correct_future_times
from faces_jobs.db.jobs.space import resume_parked
from faces_jobs.db.processes import delete_silent_processes, set_measures
from faces_jobs.db.reconcile_queries import count_waiting_segments
from faces_jobs.db.segments.overdue import (
    count_without_message,
    mark_job_rung,
    mark_segments_rung,
    orphaned_segments,
    waiting_jobs,
    waiting_segments,
)
from faces_jobs.db.segments.poison import fail_poisoned_jobs, fail_poisoned_segments
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import FacesJobsError, StorageFullError
from faces_jobs.presence import Presence
from faces_jobs.queue.messages import BrokerMessages
from faces_jobs.queue.producer import CeleryQueue, Queue, open_queue
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.worker.maintenance.expired_leases import ExpiredLeases, patience_seconds
from faces_jobs.worker.maintenance.first_seen import FirstSeen
from faces_jobs.worker.maintenance.reconcile import Reconciler
from faces_jobs.worker.maintenance.reconciler_thread import ReconcilerThread
from faces_jobs.worker.maintenance.webhooks import background_delivery, deliver_due

BATCH_SIZE = 256
# Turns decide between owners that have work now; those that are older than a day are of no use.
TURNS_SECONDS = 24 * 3600.0
# While this many messages wait, nothing is rung for again, and waiting segments not even for the
# first time: whatever workers read leads them to all that waits. Without this bound, the broker
# would fill up with repeated messages while workers are busy or away.
ENOUGH_MESSAGES = 32
# All rows are counted once a minute; less often if counting takes more than 1/20 of that time.
COUNT_INTERVAL_SECONDS = 60.0
COUNT_INTERVAL_FACTOR = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one round has done."""

    segments_rung: int
    jobs_rung: int
    given_up: int
    resumed: int = 0
    without_message: int = 0  # of those rung for: no message was sent for them, or it seems lost


def run_sweep(settings: Settings, *, once: bool = False) -> None:
    """Sweep at regular intervals until SIGTERM or Ctrl-C, or `once`.

    Raises:
        DatabaseError: the database can't be opened; with `once`, also if it fails later.
        QueueError: the broker does not answer (only with `once`).
    """
    stop = threading.Event()

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    storage = open_storage(settings)
    with open_database(settings.database) as database, open_queue(settings) as queue:
        if once:
            without_message = _sweep_once(database, queue, settings)
            reconciler = _reconciler(database, queue, storage, settings)
            reconciler.run_round(without_message=without_message)
            deliver_due(database, settings)
            return
        previous_handlers = {
            number: signal.signal(number, request_stop)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        counters = Counters()
        presence = Presence(
            database, kind="sweep", interval_seconds=settings.presence_seconds, counters=counters
        )
        try:
            with presence:
                run_rounds(database, queue, storage, settings, stop, counters=counters)
        finally:
            for number, handler in previous_handlers.items():
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
    """Sweep until `stop` is set, with threads beside it that send webhooks and reconcile."""
    reconciler = ReconcilerThread(
        _reconciler(database, queue, storage, settings, FirstSeen()),
        interval_seconds=settings.reconcile_seconds,
        counters=counters,
    )
    with background_delivery(database, settings), reconciler:
        _loop(database, queue, settings, stop, counters=counters, count=reconciler.count)


def sweep(
    database: Database,
    queue: Queue,
    settings: Settings,
    *,
    counters: Counters | None = None,
    expired_leases: ExpiredLeases | None = None,
) -> SweepReport:
    """Run one round. Safe to run on any machine, any number of times, concurrently.

    Counters are increased step by step, since the round may be interrupted by an error. With
    `expired_leases`, work in its last attempt is given up once its lease was seen expired for long
    enough; without, at once.

    Raises:
        DatabaseError: the database does not answer; the steps before it are done.
        QueueError: the broker does not answer; likewise.
    """
    counters = counters or Counters()
    counters.add("sweeps")
    corrected = correct_future_times(
        database,
        lease_seconds=settings.lease_seconds,
        pause_seconds=settings.retry_max_seconds,
        limit=BATCH_SIZE,
    )
    if corrected:
        _log.warning("the database's clock was set back: %d leases or pauses corrected", corrected)
    expired_leases = expired_leases or ExpiredLeases(patience_seconds=0)
    expired_leases.begin_round()
    given_up, to_finish = fail_poisoned_segments(
        database,
        max_attempts=settings.max_attempts,
        limit=BATCH_SIZE,
        is_dead=expired_leases.is_dead,
    )
    counters.add("poison", given_up)
    jobs_given_up = fail_poisoned_jobs(
        database,
        max_attempts=settings.max_attempts,
        limit=BATCH_SIZE,
        is_dead=expired_leases.is_dead,
    )
    counters.add("poison", jobs_given_up)
    resumed = _resume_parked(database, settings)
    depth = queue.depth()
    ring_again_seconds = settings.ring_again_seconds if depth < ENOUGH_MESSAGES else None
    waiting = waiting_jobs(
        database,
        ring_again_seconds=ring_again_seconds,
        max_attempts=settings.max_attempts,
        limit=BATCH_SIZE,
    )
    jobs = {*to_finish, *waiting}
    without_message = count_without_message(
        database,
        JobRow,
        set(waiting).difference(to_finish),
        ring_again_seconds=settings.ring_again_seconds,
    )
    for job_id in jobs:
        queue.ring_job(job_id)
        counters.add("rings", label="job")
        mark_job_rung(database, job_id)
    segments = orphaned_segments(
        database,
        ring_again_seconds=ring_again_seconds,
        max_attempts=settings.max_attempts,
        limit=BATCH_SIZE,
    )
    if depth < ENOUGH_MESSAGES:
        # No more messages than rows: while all workers are busy, theirs are not lost but wait.
        rows = count_waiting_segments(database, limit=ENOUGH_MESSAGES + 2 * BATCH_SIZE)
        wanted = min(BATCH_SIZE, rows - depth - len(segments))
        if wanted > 0:
            segments += waiting_segments(
                database, ring_again_seconds=settings.ring_again_seconds, limit=wanted
            )
    without_message += count_without_message(
        database, SegmentRow, segments, ring_again_seconds=settings.ring_again_seconds
    )
    for segment_id in segments:
        queue.ring_segment(segment_id)
        counters.add("rings", label="segment")
    mark_segments_rung(database, segments)
    return SweepReport(len(segments), len(jobs), given_up + jobs_given_up, resumed, without_message)


def _sweep_once(database: Database, queue: Queue, settings: Settings) -> int:
    """Run a round, and another one if it has to wait for leases. Returns what had no message."""
    expired_leases = ExpiredLeases(patience_seconds(settings))
    report = sweep(database, queue, settings, expired_leases=expired_leases)
    _log.info("%s", report)
    without_message = report.without_message
    if expired_leases.waits:
        time.sleep(patience_seconds(settings))
        report = sweep(database, queue, settings, expired_leases=expired_leases)
        _log.info("%s", report)
        without_message += report.without_message
    return without_message


def _resume_parked(database: Database, settings: Settings) -> int:
    """Resume jobs that wait for space, if there is enough now. Returns how many."""
    try:
        open_storage(settings).check_free_space()
    except StorageFullError:
        return 0
    except OSError as error:  # must not end the round, which also rings for other jobs
        _log.warning("the free space can't be determined: %s", error)
        return 0
    return len(resume_parked(database, limit=BATCH_SIZE))


def _loop(
    database: Database,
    queue: Queue,
    settings: Settings,
    stop: threading.Event,
    *,
    counters: Counters,
    count: Callable[[int], None],
) -> None:
    expired_leases = ExpiredLeases(patience_seconds(settings))
    count_at = time.monotonic()
    while not stop.is_set():
        with _errors_logged():
            report = sweep(
                database, queue, settings, counters=counters, expired_leases=expired_leases
            )
            count(report.without_message)
            if report != SweepReport(0, 0, 0):
                _log.info("%s", report)
        # Separate from the round above: an error of the broker must not prevent this.
        with _errors_logged():
            _forget_silent(database, settings)
            delete_old_turns(database, older_than_seconds=TURNS_SECONDS)
        if time.monotonic() >= count_at:
            started = time.monotonic()
            with _errors_logged():
                set_measures(database, count_all(database))
            took = time.monotonic() - started
            count_at = started + max(COUNT_INTERVAL_SECONDS, COUNT_INTERVAL_FACTOR * took)
        stop.wait(settings.sweep_seconds)


@contextmanager
def _errors_logged() -> Iterator[None]:
    """Log an error instead of raising it; the next round does the rest."""
    try:
        yield
    except (FacesJobsError, OSError) as error:
        _log.warning("this round was interrupted, the next one continues: %s", error)


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
    for name in delete_silent_processes(
        database, presence_timeout_seconds=settings.presence_timeout_seconds
    ):
        _log.warning(
            "process %s sent no heartbeat for %.0f s and is taken for dead",
            name,
            settings.presence_timeout_seconds,
        )
