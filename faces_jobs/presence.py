"""Reports at intervals, from a thread, that this process is alive, and its counters."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Self

from faces_jobs.counters import Counters
from faces_jobs.db.processes import (
    GpuMemory,
    Process,
    ProcessKind,
    delete_process,
    record_heartbeat,
)
from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError, StorageFullError

# How long an ending process waits for a database that does not answer; then its row is left to the
# sweep.
JOIN_TIMEOUT_SECONDS = 3.0

_log = logging.getLogger(__name__)


def process_name() -> str:
    """A unique name for this process."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Presence:
    """A process's row: updated while the process is alive, removed when it ends. A context manager.

    If the database does not answer, counts are kept and sent with the next heartbeat.
    """

    def __init__(
        self,
        database: Database,
        *,
        kind: ProcessKind,
        interval_seconds: float,
        counters: Counters,
        name: str | None = None,
        device: str | None = None,
        gpu: Callable[[], GpuMemory | None] = lambda: None,
    ) -> None:
        self._database = database
        self._interval_seconds = interval_seconds
        self._counters = counters
        self._gpu = gpu
        self._process = Process(
            name=name or process_name(),
            kind=kind,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("faces-jobs"),
            device=device,
        )
        self._ended = threading.Event()
        self._has_warned = False
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(JOIN_TIMEOUT_SECONDS)

    def _run(self) -> None:
        while True:
            self._send_heartbeat()
            if self._ended.wait(self._interval_seconds):
                break
        self._send_heartbeat()  # with the last counts
        try:
            delete_process(self._database, self._process.name)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("this process's row is left to the sweep: %s", error)

    def _send_heartbeat(self) -> None:
        counts = self._counters.take()
        try:
            record_heartbeat(self._database, replace(self._process, gpu=self._gpu()), counts)
        except (DatabaseError, StorageFullError) as error:
            self._counters.restore(counts)
            if not self._has_warned:  # once per outage
                _log.warning("the heartbeat of this process can't be recorded: %s", error)
            self._has_warned = True
        else:
            self._has_warned = False
