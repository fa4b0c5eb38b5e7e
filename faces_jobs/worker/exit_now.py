"""Ends a worker's process at once, whatever it is doing, after a last transaction."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import NoReturn

from faces_jobs.errors import FacesJobsError

# If the database does not answer in time the process ends all the same, and its leases run out.
LAST_TIMEOUT_SECONDS = 1.5

_log = logging.getLogger(__name__)


def exit_now(last: Callable[[], object], *, code: int) -> NoReturn:
    """Write to the database with `last`, then end this process without returning to its work.

    The exit code is 1 if `last` fails or takes too long.
    """
    written = threading.Event()

    def write() -> None:
        try:
            last()
            written.set()
        except FacesJobsError as error:
            _log.warning("leases not released, they will run out: %s", error)

    threading.Thread(target=write, name="last", daemon=True).start()
    is_written = written.wait(LAST_TIMEOUT_SECONDS)
    logging.shutdown()
    os._exit(code if is_written else 1)
