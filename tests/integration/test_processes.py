"""Heartbeats of processes: recorded, renewed and deleted, with the counts they carry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import select, update

from faces_jobs.counters import Counters
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.processes import (
    GpuMemory,
    Process,
    delete_silent_processes,
    live_processes,
    read_measures,
    record_heartbeat,
    set_measures,
)
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ProcessRow
from faces_jobs.presence import Presence

ALICE = Process("alice", "worker", "alices-machine", 7, "1.0", "cpu")


def live_names(database: Database, seconds: float) -> list[str]:
    """Return the names of the processes that sent a heartbeat within so many seconds."""
    return [process.name for process in live_processes(database, within_seconds=seconds)]


def measures(database: Database) -> dict[tuple[str, str], float]:
    with database.read() as session:
        return {(name, label): value for name, label, value in read_measures(session)}


def silence(database: Database, name: str, seconds: float) -> None:
    """Make a process's last heartbeat so many seconds old."""
    with database.begin() as session:
        session.execute(
            update(ProcessRow)
            .where(ProcessRow.name == name)
            .values(seen_at=now_seconds() - seconds)
        )


def test_a_heartbeat_renews_the_row_of_a_process(database: Database) -> None:
    record_heartbeat(database, ALICE, {})
    with database.read() as session:
        started = session.scalars(select(ProcessRow.started_at)).one()
    silence(database, "alice", 30)
    assert live_names(database, 20) == []

    record_heartbeat(database, ALICE, {})

    (found,) = live_processes(database, within_seconds=20)
    assert (found.name, found.kind, found.host) == ("alice", "worker", "alices-machine")
    assert 0 <= found.presence_timeout_seconds < 20
    assert found.gpu is None
    with database.read() as session:
        assert session.scalars(select(ProcessRow.started_at)).one() == started


def test_the_memory_of_a_gpu_is_recorded(database: Database) -> None:
    record_heartbeat(database, replace(ALICE, gpu=GpuMemory(3 * 2**30, 80 * 2**30)), {})
    (found,) = live_processes(database, within_seconds=20)
    assert found.gpu == GpuMemory(3 * 2**30, 80 * 2**30)


def test_silent_processes_are_deleted_and_return_with_a_heartbeat(database: Database) -> None:
    record_heartbeat(database, ALICE, {})
    silence(database, "alice", 100)
    assert delete_silent_processes(database, presence_timeout_seconds=101) == []
    assert delete_silent_processes(database, presence_timeout_seconds=99) == ["alice"]
    assert delete_silent_processes(database, presence_timeout_seconds=99) == []

    record_heartbeat(database, ALICE, {})
    assert live_names(database, 20) == ["alice"]


def test_counts_of_all_processes_add_up_and_outlive_them(database: Database) -> None:
    def send_heartbeats(name: str) -> None:
        process = Process(name, "worker", "h", 1, "1.0")
        for _ in range(20):
            record_heartbeat(database, process, {("frames", ""): 2.0, ("stage", "detect"): 0.5})

    threads = [
        threading.Thread(target=send_heartbeats, args=(name,)) for name in ("alice", "bob", "carol")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    delete_silent_processes(database, presence_timeout_seconds=-1)

    assert live_names(database, 100) == []
    assert measures(database) == {("frames", ""): 120.0, ("stage", "detect"): 30.0}


def test_gauges_replace_older_values(database: Database) -> None:
    set_measures(database, {("jobs", "queued"): 3.0, ("jobs", "failed"): 1.0})
    set_measures(database, {("jobs", "queued"): 2.0})
    assert measures(database) == {("jobs", "queued"): 2.0, ("jobs", "failed"): 1.0}


def test_counts_that_could_not_be_recorded_are_kept_for_later() -> None:
    counters = Counters()
    counters.add("frames", 3)
    counters.add("stage", 0.5, label="detect")
    taken = counters.take()
    assert counters.take() == {}
    counters.add("frames")
    counters.restore(taken)
    assert counters.take() == {("frames", ""): 4.0, ("stage", "detect"): 0.5}


def test_presence_keeps_a_process_alive_until_it_closes(
    database: Database, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    counters = Counters()
    with Presence(
        database, kind="sweep", interval_seconds=0.01, counters=counters, name="sam", device=None
    ):
        wait_until(lambda: live_names(database, 20) == ["sam"])
        counters.add("rounds")
        wait_until(lambda: measures(database) == {("rounds", ""): 1.0})
        silence(database, "sam", 100)
        wait_until(lambda: live_names(database, 20) == ["sam"])
        counters.add("rounds")
    assert live_names(database, 1000) == []
    assert measures(database) == {("rounds", ""): 2.0}, "the last counts are recorded at the end"


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(3000):
            if condition():
                return
            pause.wait(0.01)
        pytest.fail("timed out waiting for the condition")

    return wait
