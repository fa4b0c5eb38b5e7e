"""Tells, every few seconds from a thread, that this process lives, and what it counted."""

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

# An ending process waits no longer than this for a database that does not answer: its row is
# then left for the sweep.
JOIN_TIMEOUT_SECONDS = 3.0

_log = logging.getLogger(__name__)


def process_name() -> str:
    """A name for this process: on this machine, in this life."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Presence:
    """A process's row, `with` it open: renewed while the process lives, removed when it ends.

    A database that does not answer ends nothing: the next sign carries what this one could not.
    """

    def __init__(
        self,
        database: Database,
        *,
        kind: ProcessKind,
        every_seconds: float,
        counters: Counters,
        name: str | None = None,
        device: str | None = None,
        gpu: Callable[[], GpuMemory | None] = lambda: None,
    ) -> None:
        self._database = database
        self._every_seconds = every_seconds
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
        self._silenced = False
        self._thread = threading.Thread(target=self._live, name="presence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join(JOIN_TIMEOUT_SECONDS)

    def _live(self) -> None:
        while True:
            self._tell()
            if self._ended.wait(self._every_seconds):
                break
        self._tell()  # the last counts
        try:
            delete_process(self._database, self._process.name)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("this process's row is left for the sweep: %s", error)

    def _tell(self) -> None:
        counts = self._counters.take()
        try:
            record_heartbeat(self._database, replace(self._process, gpu=self._gpu()), counts)
        except (DatabaseError, StorageFullError) as error:
            self._counters.restore(counts)
            if not self._silenced:  # once, not every few seconds of an outage
                _log.warning("nobody can be told that this process lives: %s", error)
            self._silenced = True
        else:
            self._silenced = False
