"""Runs a Celery worker in this process: one process per slot, without forking."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from celery import Celery, signals
from celery.concurrency.solo import TaskPool
from celery.exceptions import SecurityWarning

from faces_jobs.db.jobs.downtime import exclude_downtime
from faces_jobs.db.processes import GpuMemory
from faces_jobs.errors import DatabaseError, QueueError, SettingsError, StorageFullError
from faces_jobs.presence import Presence
from faces_jobs.queue.producer import QUEUE_NAME, make_app
from faces_jobs.settings import Settings
from faces_jobs.worker.graceful_stop import graceful_stop
from faces_jobs.worker.resources import Worker, open_worker
from faces_jobs.worker.tasks import add_tasks
from faces_jobs.worker.warming import background_warmup
from faces_jobs_models.device import gpu_bytes

POOL = "solo"
ACK_LOGGER = "celery.worker.request"

_log = logging.getLogger(__name__)


def run_worker(settings: Settings) -> None:
    """Process work until SIGTERM or Ctrl-C.

    On SIGTERM the current batch is finished, the segment is released and the process ends; see
    `worker.graceful_stop` for batches that take too long.

    Raises:
        DatabaseError: the database can't be opened.
        DeviceError: the device is not available.
        ModelError: the models folder can't be opened.
        QueueError: Celery gave up, such as at a message of somebody else's in Redis.
    """
    with (
        open_worker(settings) as worker,
        _presence(worker),
        background_warmup(worker.networks, work_started=worker.work_started),
    ):
        _exclude_downtime(worker)
        app = make_app(settings)
        add_tasks(app, worker)
        connect_signals(worker)
        _log.info("worker %s waits for work on %s", worker.name, worker.networks.device)
        with graceful_stop(
            name=worker.name, database=worker.database, stop_requested=worker.stop_requested
        ):
            consumer = celery_worker(app, worker.name)
            consumer.start()
            if consumer.exitcode and not worker.stop_requested.is_set():
                raise QueueError("Reading messages failed; the last log lines say why.")
    _log.info("worker %s ended", worker.name)


def _exclude_downtime(worker: Worker) -> None:
    """Don't count the time without a worker in the rates of jobs, if the database answers."""
    timeout = worker.settings.presence_timeout_seconds
    try:
        exclude_downtime(worker.database, presence_timeout_seconds=timeout)
    except (DatabaseError, StorageFullError) as error:
        _log.warning("the time without a worker counts in the rates of jobs: %s", error)


def _presence(worker: Worker) -> Presence:
    """The presence of this worker, to be entered as a context manager."""
    device = worker.networks.device

    def gpu() -> GpuMemory | None:
        if device == "cpu":
            return None
        try:
            return GpuMemory(*gpu_bytes())
        except RuntimeError as error:  # a lost GPU: the work itself fails with a clearer error
            _log.warning("the GPU's memory use can't be read: %s", error)
            return None

    return Presence(
        worker.database,
        kind="worker",
        name=worker.name,
        interval_seconds=worker.settings.presence_seconds,
        counters=worker.counters,
        device=device,
        gpu=gpu,
    )


def celery_worker(app: Celery, name: str, *, pool: str = POOL) -> Any:
    """Create Celery's worker, without the communication between workers that rows replace.

    Raises:
        SettingsError: another pool is selected, by `pool` or by Celery's own settings.
    """
    with warnings.catch_warnings():
        # Celery warns when run as root because of pickled messages; these are JSON with an id.
        warnings.simplefilter("ignore", SecurityWarning)
        worker = app.Worker(
            pool=pool,
            concurrency=1,
            hostname=f"faces-jobs@{name}",
            queues=[QUEUE_NAME],
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            quiet=True,
        )
    if worker.pool_cls is not TaskPool:
        raise SettingsError(
            f"Celery's pool {worker.pool_cls.__module__} is not supported: networks and CUDA do "
            "not survive a fork. Start one `faces-jobs worker` for each slot."
        )
    return worker


def connect_signals(worker: Worker) -> None:
    """Pass a shutdown on to the current work, and keep Celery from configuring logging."""

    def request_stop(**_details: Any) -> None:
        worker.stop_requested.set()

    def keep_logging(**_details: Any) -> None:
        """Does nothing: Celery leaves logging alone if this signal has a receiver."""

    logging.getLogger(ACK_LOGGER).addFilter(_downgrade_critical)
    # Not weak: nothing else refers to these functions.
    signals.worker_shutting_down.connect(request_stop, weak=False)
    signals.setup_logging.connect(keep_logging, weak=False)


def _downgrade_critical(record: logging.LogRecord) -> bool:
    """Turn Celery's critical records, with their long tracebacks, into one-line warnings.

    They say that a message could not be acknowledged. It is then delivered once more, which is
    harmless.
    """
    if record.levelno == logging.CRITICAL:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = None
    return True
