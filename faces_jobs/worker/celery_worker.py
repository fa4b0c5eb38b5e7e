"""Runs a Celery worker in this process: one process a slot, never a fork."""

from __future__ import annotations

import logging
import warnings
from typing import Any

from celery import Celery, signals
from celery.concurrency.solo import TaskPool
from celery.exceptions import SecurityWarning

from faces_jobs.db.processes import GpuMemory
from faces_jobs.errors import SettingsError
from faces_jobs.presence import Presence
from faces_jobs.queue import QUEUE_NAME, make_app
from faces_jobs.settings import Settings
from faces_jobs.worker.graceful_stop import graceful_stop
from faces_jobs.worker.resources import Worker, open_worker
from faces_jobs.worker.tasks import add_tasks
from faces_jobs.worker.warming import warmed
from faces_jobs_models.device import gpu_bytes

POOL = "solo"
ACK_LOGGER = "celery.worker.request"

_log = logging.getLogger(__name__)


def run_worker(settings: Settings) -> None:
    """Work on what the queue rings for, until TERM or Ctrl-C.

    On TERM the batch in hand is finished, the segment is handed back and the process ends; see
    `worker.stopping` for batches that take too long.

    Raises:
        DatabaseError, DeviceError, ModelError: something can't be opened.
    """
    app = make_app(settings)
    with (
        open_worker(settings) as worker,
        _presence(worker),
        warmed(worker.networks, work_started=worker.work_started),
    ):
        add_tasks(app, worker)
        connect_signals(worker)
        _log.info("worker %s waits for work on %s", worker.name, worker.networks.device)
        with graceful_stop(
            name=worker.name, database=worker.database, stop_requested=worker.stop_requested
        ):
            celery_worker(app, worker.name).start()
    _log.info("worker %s ended", worker.name)


def _presence(worker: Worker) -> Presence:
    """Tells of this worker as long as it is open."""
    device = worker.networks.device

    def gpu() -> GpuMemory | None:
        if device == "cpu":
            return None
        try:
            return GpuMemory(*gpu_bytes())
        except RuntimeError as error:  # a GPU that fell off: the work says so in its own words
            _log.warning("the GPU's memory can't be read: %s", error)
            return None

    return Presence(
        worker.database,
        kind="worker",
        name=worker.name,
        every_seconds=worker.settings.presence_seconds,
        counters=worker.counters,
        device=device,
        gpu=gpu,
    )


def celery_worker(app: Celery, name: str, *, pool: str = POOL) -> Any:
    """Celery's worker, without the talk between workers that rows make needless.

    Raises:
        SettingsError: another pool was asked for, here or through Celery's own settings.
    """
    with warnings.catch_warnings():
        # Celery warns of root because of pickled messages; here they are JSON with an id.
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
            f"Celery's pool {worker.pool_cls.__module__} is refused: networks and CUDA do not "
            "survive a fork. Start one `faces-jobs worker` for each slot."
        )
    return worker


def connect_signals(worker: Worker) -> None:
    """Tell the work in hand of a shutdown, and keep Celery away from this process's logs."""

    def stop(**_details: Any) -> None:
        worker.stop_requested.set()

    def keep_logs(**_details: Any) -> None:
        """Being there is all it does: Celery then leaves logging alone."""

    logging.getLogger(ACK_LOGGER).addFilter(_unalarmed)
    # Not weakly: these functions are known to nobody else.
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.setup_logging.connect(keep_logs, weak=False)


def _unalarmed(record: logging.LogRecord) -> bool:
    """Make a line of a warning of what Celery calls critical, with a traceback of pages.

    The broker did not hear that a message was taken, so it comes once more: a bell too many.
    """
    if record.levelno == logging.CRITICAL:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = None
    return True
