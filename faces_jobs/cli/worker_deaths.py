"""What a process that starts workers tells of one that died: what it held is free at once.

Without it others would wait until the lease runs out, and nobody would know what killed it.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable

from faces_jobs.errors import FacesJobsError
from faces_jobs.settings import Settings

# (process id, exit code as `subprocess` tells it: negative for a signal)
RecordDeath = Callable[[int, int], None]

log = logging.getLogger(__name__)


def death_recorder(settings: Settings) -> RecordDeath:
    """Something that records the death of a worker of this machine."""

    def tell(pid: int, code: int) -> None:
        from faces_jobs.db.evidence import record_worker_death
        from faces_jobs.db.session import open_database

        try:
            with open_database(settings.database) as database:
                held = record_worker_death(
                    database,
                    worker_prefix=f"{socket.gethostname()}-{pid}-",
                    reason=reason_of(code),
                    exit_signal=signal_name(code),
                    delay=settings.retry_seconds,
                )
        except FacesJobsError as error:
            log.warning("what the dead worker held is free when its lease runs out: %s", error)
            return
        if held:
            log.warning("worker process %d: %s", pid, reason_of(code))

    return tell


def reason_of(code: int) -> str:
    """How a process ended, as people say it."""
    name = signal_name(code)
    if name == "SIGKILL":
        return "its worker was killed (SIGKILL); the system does that where memory runs out"
    if name is not None:
        return f"its worker died of {name}"
    return f"its worker ended with exit code {code}"


def signal_name(code: int) -> str | None:
    """The signal that ended a process, if it was one."""
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
