"""Record the death of a worker process, which releases its work at once.

Otherwise its work would wait until the lease expires, and what killed it would not be known.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable

from faces_jobs.errors import FacesJobsError
from faces_jobs.settings import Settings

# Takes process id and exit code; like that of `subprocess`, it is negative for a signal. Returns
# whether the worker held work, which may have killed it.
RecordDeath = Callable[[int, int], bool]

log = logging.getLogger(__name__)


def death_recorder(settings: Settings) -> RecordDeath:
    """A function that records the death of a worker of this machine in the database."""

    def record(pid: int, code: int) -> bool:
        from faces_jobs.db.claims.evidence import record_worker_death
        from faces_jobs.db.session import open_database

        try:
            with open_database(settings.database) as database:
                held = record_worker_death(
                    database,
                    worker_prefix=f"{socket.gethostname()}-{pid}-",
                    reason=describe_exit(code),
                    exit_signal=signal_name(code),
                    delay=settings.retry_seconds,
                )
        except FacesJobsError as error:
            log.warning(
                "can't release the work of worker process %d; its lease will expire: %s", pid, error
            )
            return False
        if held:
            log.warning("worker process %d: %s", pid, describe_exit(code))
        return held > 0

    return record


def describe_exit(code: int) -> str:
    """How a worker process ended, in words."""
    name = signal_name(code)
    if name == "SIGKILL":
        return "its worker was killed (SIGKILL), as the system does when memory runs out"
    if name is not None:
        return f"its worker was terminated by {name}"
    return f"its worker ended with exit code {code}"


def signal_name(code: int) -> str | None:
    """The name of the signal that terminated a process, or None if it exited by itself."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
