"""The faults: each one disturbs a run, undoes itself if it can, and returns when recovery starts.

After a fault that ends a process recovery is timed at once; after an outage, from its end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url, select

from faces_jobs.db.session import open_database
from faces_jobs.db.tables import SegmentRow
from faces_jobs.queue.producer import open_queue
from tests.faults.clock import set_ahead
from tests.faults.environments import OneMachine, SeveralMachines, Site, SiteName
from tests.faults.limits import disk_is_mountable, memory_is_boundable
from tests.faults.points import NO_TRANSACTION, RECORD, WEBHOOK, WORKER_POINTS, Point
from tests.faults.scene import Scene

# Longer than clients wait for a broker or a database, and shorter than three leases.
OUTAGE_SECONDS = 4.0
SLOW_SECONDS = 0.4
DELIVERIES = 5
HOUR = 3600

ONE: tuple[SiteName, ...] = ("SQLite + folder",)
SEVERAL: tuple[SiteName, ...] = ("PostgreSQL + Redis",)
BOTH = ONE + SEVERAL


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong, and where it is injected."""

    name: str
    strike: Callable[[Scene], float]
    points: tuple[Point, ...]
    sites: tuple[SiteName, ...] = BOTH
    ends: bool = False  # the process at the point ends, by the fault or because it is told to
    alone: bool = False  # the other worker starts after the fault: it would empty the queue
    small_disk: bool = False
    moves_clock: bool = False
    bounds_memory: bool = False

    @property
    def missing(self) -> str | None:
        """What this machine lacks to inject it; None if nothing."""
        if self.small_disk and not disk_is_mountable():
            return "only root can mount a small disk"
        if self.bounds_memory and not memory_is_boundable():
            return "no memory control group can be created here"
        return None


def _killed(scene: Scene) -> float:
    scene.victim.send(signal.SIGKILL)
    return time.monotonic()


def _stopped_past_its_lease(scene: Scene) -> float:
    scene.victim.freeze()
    # Its heartbeat may be writing, which on SQLite would block everyone: a fault of its own.
    while not scene.environment.site.is_writable(scene.environment.settings):
        scene.victim.send(signal.SIGCONT)
        time.sleep(0.05)
        scene.victim.freeze()
    struck = time.monotonic()
    scene.wait_until_recovered()
    scene.victim.send(signal.SIGCONT)
    scene.victim.go()
    return struck


def _stopped_for_a_while(scene: Scene) -> float:
    scene.victim.freeze()
    time.sleep(OUTAGE_SECONDS)
    scene.victim.send(signal.SIGCONT)
    scene.victim.go()
    return time.monotonic()


def _told_to_stop(scene: Scene) -> float:
    scene.victim.send(signal.SIGTERM)
    struck = time.monotonic()
    # The signal is handled while it still waits at the point, so it continues as stopping.
    time.sleep(0.2)
    scene.victim.go()
    assert scene.victim.wait() == 0, "it ended well"
    return struck


def _told_to_stop_twice(scene: Scene) -> float:
    scene.victim.send(signal.SIGTERM)
    time.sleep(0.2)  # the system merges two signals that arrive together
    scene.victim.send(signal.SIGTERM)
    struck = time.monotonic()
    scene.victim.wait()
    return struck


def _out_of_memory(scene: Scene) -> float:
    struck = time.monotonic()
    scene.victim.go("grow")
    assert scene.victim.wait() == -signal.SIGKILL, "the kernel ended it"
    return struck


def _broker_killed(scene: Scene) -> float:
    scene.environment.broker.kill()
    scene.victim.go()
    time.sleep(OUTAGE_SECONDS)
    scene.environment.broker.start()
    return time.monotonic()


def _broker_restarted(scene: Scene) -> float:
    scene.environment.broker.kill()
    scene.environment.broker.start()
    scene.victim.go()
    return time.monotonic()


def _broker_flushed(scene: Scene) -> float:
    scene.environment.broker.flush()
    scene.victim.go()
    return time.monotonic()


def _broker_slow(scene: Scene) -> float:
    with _several(scene.environment.site).broker.proxy.slow(SLOW_SECONDS):
        scene.victim.go()
        time.sleep(2 * OUTAGE_SECONDS)
    return time.monotonic()


def _broker_silent(scene: Scene) -> float:
    with _several(scene.environment.site).broker.proxy.silent():
        scene.victim.go()
        time.sleep(OUTAGE_SECONDS)
    return time.monotonic()


def _messages_multiplied(scene: Scene) -> float:
    settings = scene.environment.settings
    if not scene.environment.broker.multiply(DELIVERIES):
        # None was waiting: ring for every segment there is, done or not.
        with open_database(settings.database) as database, open_queue(settings) as queue:
            with database.read() as session:
                segments = session.scalars(select(SegmentRow.id).order_by(SegmentRow.id)).all()
                jobs = set(session.scalars(select(SegmentRow.job_id)))
            for segment_id in segments:
                queue.ring_segment(segment_id)
            for job_id in jobs:
                queue.ring_job(job_id)
        scene.environment.broker.multiply(DELIVERIES)
    scene.victim.go()
    return time.monotonic()


def _postgres_restarted(scene: Scene) -> float:
    server = _several(scene.environment.site).postgres
    server.stop(signal.SIGQUIT)
    scene.victim.go()
    time.sleep(OUTAGE_SECONDS)
    server.start()
    return time.monotonic()


def _connections_terminated(scene: Scene) -> float:
    _several(scene.environment.site).sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{make_url(scene.environment.settings.database).database}'"
    )
    scene.victim.go()
    return time.monotonic()


def _made_read_only(scene: Scene) -> float:
    site = _several(scene.environment.site)
    site.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    site.sql("SELECT pg_reload_conf()")
    _connections_terminated(scene)
    time.sleep(OUTAGE_SECONDS)
    site.sql("ALTER SYSTEM RESET default_transaction_read_only")
    site.sql("SELECT pg_reload_conf()")
    return time.monotonic()


def _locked(scene: Scene) -> float:
    with OneMachine.locked(scene.environment.settings):
        scene.victim.go()
        time.sleep(OUTAGE_SECONDS)
    return time.monotonic()


def _disk_full(scene: Scene) -> float:
    filler = scene.environment.settings.data_folder / "filler"
    _fill(filler)
    scene.victim.go()
    time.sleep(OUTAGE_SECONDS)
    filler.unlink()
    return time.monotonic()


def _fill(path: Path) -> None:
    """Fill the disk down to its last block."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (1024 * 1024, 4096, 1):
            try:
                while True:
                    os.write(descriptor, b"x" * size)
            except OSError:
                continue
    finally:
        os.close(descriptor)


def _clock_ahead(scene: Scene) -> float:
    return _move_clock(scene, HOUR)


def _clock_back(scene: Scene) -> float:
    return _move_clock(scene, -HOUR)


def _move_clock(scene: Scene, seconds: int) -> float:
    set_ahead(scene.environment.clock, seconds)
    struck = time.monotonic()
    scene.victim.go()
    return struck


def _several(site: Site) -> SeveralMachines:
    assert isinstance(site, SeveralMachines)
    return site


# Once a webhook is being sent, nothing goes to a broker or a disk.
_BEFORE_WEBHOOK = tuple(point for point in NO_TRANSACTION if point is not WEBHOOK)

KILLED = Fault("kill -9", _killed, NO_TRANSACTION, ends=True)

FAULTS = (
    KILLED,
    Fault("kill -9", _killed, (RECORD,), ends=True, alone=True),
    Fault("stop past the lease, then go on", _stopped_past_its_lease, (*WORKER_POINTS, WEBHOOK)),
    # PostgreSQL ends the transaction; on SQLite everyone waits until the process continues.
    Fault("stop past the lease, then go on", _stopped_past_its_lease, (RECORD,), SEVERAL),
    Fault("stop for 4 s", _stopped_for_a_while, (RECORD,), ONE, alone=True),
    Fault("TERM", _told_to_stop, (*WORKER_POINTS, WEBHOOK), ends=True),
    Fault("TERM twice", _told_to_stop_twice, WORKER_POINTS, ends=True),
    Fault("memory limit", _out_of_memory, WORKER_POINTS, ends=True, bounds_memory=True),
    Fault("broker killed for 4 s", _broker_killed, _BEFORE_WEBHOOK),
    Fault("broker restarted, empty", _broker_restarted, _BEFORE_WEBHOOK, SEVERAL),
    Fault("broker flushed", _broker_flushed, _BEFORE_WEBHOOK, alone=True),
    Fault("broker slow by 0.4 s", _broker_slow, _BEFORE_WEBHOOK, SEVERAL),
    Fault("broker silent for 4 s", _broker_silent, _BEFORE_WEBHOOK, SEVERAL),
    Fault("messages five times, shuffled", _messages_multiplied, _BEFORE_WEBHOOK, alone=True),
    Fault("database restarted, 4 s away", _postgres_restarted, NO_TRANSACTION, SEVERAL),
    Fault("connections terminated", _connections_terminated, NO_TRANSACTION, SEVERAL),
    Fault("database read-only for 4 s", _made_read_only, NO_TRANSACTION, SEVERAL),
    Fault("database locked for 4 s", _locked, NO_TRANSACTION, ONE),
    Fault("disk full for 4 s", _disk_full, _BEFORE_WEBHOOK, small_disk=True),
    Fault("clock one hour ahead", _clock_ahead, (*WORKER_POINTS, WEBHOOK), moves_clock=True),
    Fault("clock one hour back", _clock_back, (*WORKER_POINTS, WEBHOOK), moves_clock=True),
)
