"""The sweep: gives up poison, goes on despite errors, and removes files without a row."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from faces_jobs.counters import Counters
from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import MeasureRow
from faces_jobs.errors import QueueError
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import get_job, list_items
from faces_jobs.settings import Settings
from faces_jobs.storage import JobFolder, LocalStorage
from faces_jobs.worker.maintenance.sweep import (
    SweepReport,
    _loop,
    run_rounds,
    run_sweep,
    sweep,
)
from tests.factories import artifact, face, new_claim, results, stored_job
from tests.integration.memory_queue import MemoryQueue
from tests.integration.processes import wait_for
from tests.integration.stored_files import publish_file, sweep_files
from tests.integration.stored_states import expire
from tests.services import TIMEOUT_SECONDS


def test_a_segment_whose_workers_all_vanish_is_given_up(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["killer.mp4", "good.mp4"])
    finish_segment(database, new_claim(database, job.segments[1]), results([face()]))
    for number in range(settings.max_attempts):
        new_claim(database, job.segments[0], worker=f"worker-{number}")
        assert sweep(database, memory_queue, settings).given_up == 0
        expire(database, job.segments[0])

    assert sweep(database, memory_queue, settings) == SweepReport(0, 1, 1)

    assert memory_queue.jobs == [job.id]
    item = list_items(database, job.id).items[0]
    assert item.error is not None
    assert item.error.code == "poison"
    assert "3 attempts" in item.error.message
    assert "worker-2" in item.error.message
    assert get_job(database, job.id).status == "finishing"
    assert sweep(database, memory_queue, settings).given_up == 0


@pytest.mark.parametrize(
    ("has_results", "status"), [(True, "succeeded_with_errors"), (False, "failed")]
)
def test_exports_whose_attempts_all_fail_are_given_up(
    database: Database,
    memory_queue: MemoryQueue,
    settings: Settings,
    has_results: bool,
    status: str,
) -> None:
    job = stored_job(database, ["a.mp4"] if has_results else ["a.mp4", "b.txt"], refused=["b.txt"])
    if has_results:
        finish_segment(database, new_claim(database, job.segments[0]), results())
    else:
        for _ in range(settings.max_attempts):
            new_claim(database, job.segments[0])
            expire(database, job.segments[0])
        sweep(database, memory_queue, settings)
    for _ in range(settings.max_attempts):
        assert claim_job(
            database, job.id, worker="w", lease_seconds=-1, max_attempts=settings.max_attempts
        )

    assert sweep(database, memory_queue, settings).given_up == 1

    document = get_job(database, job.id)
    assert document.status == status
    assert document.error is not None
    assert document.error.code == "poison"


def test_concurrent_sweeps_give_up_each_job_once(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    jobs = [stored_job(database) for _ in range(5)]
    for job in jobs:
        for _ in range(settings.max_attempts):
            new_claim(database, job.segments[0])
            expire(database, job.segments[0])
    reports: list[SweepReport] = []
    barrier = threading.Barrier(3)

    def run() -> None:
        barrier.wait()
        reports.append(sweep(database, memory_queue, settings))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(report.given_up for report in reports) == 5
    assert {get_job(database, job.id).status for job in jobs} == {"finishing"}


def test_an_unreachable_broker_is_reported_and_no_ring_is_lost(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    memory_queue.is_down = True
    with pytest.raises(QueueError):
        sweep(database, memory_queue, settings)
    memory_queue.is_down = False
    sweep(database, memory_queue, settings)
    assert memory_queue.take() == list(job.segments)


def test_work_done_before_the_broker_failed_is_counted(
    database: Database, memory_queue: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    for _ in range(settings.max_attempts):
        new_claim(database, job.segments[0])
        expire(database, job.segments[0])
    memory_queue.is_down = True
    counters = Counters()
    with pytest.raises(QueueError):
        sweep(database, memory_queue, settings, counters=counters)
    counts = counters.take()
    assert (counts["sweeps", ""], counts["poison", ""]) == (1, 1)


def test_a_missing_data_folder_does_not_stop_rings(
    database: Database, memory_queue: MemoryQueue, settings: Settings, tmp_path: Path
) -> None:
    job = stored_job(database)
    no_folder = tmp_path / "file"
    no_folder.touch()
    sweep(database, memory_queue, settings.model_copy(update={"data_folder": no_folder}))
    assert memory_queue.take() == list(job.segments)


class HangingStorage(LocalStorage):
    """A storage that does not list its job folders before it is released."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.called, self.released = threading.Event(), threading.Event()

    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        self.called.set()
        self.released.wait(TIMEOUT_SECONDS)
        return super().job_folders(after)


def test_a_slow_comparison_delays_neither_rings_nor_the_end(
    database: Database, queue: CeleryQueue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.worker.maintenance.reconciler_thread.JOIN_TIMEOUT_SECONDS", 0.1)
    storage, stop = HangingStorage(settings.data_folder / "files"), threading.Event()
    frequent = settings.model_copy(update={"sweep_seconds": 0.05})
    thread = threading.Thread(
        target=run_rounds,
        args=(database, queue, storage, frequent, stop),
        kwargs={"counters": Counters()},
    )
    thread.start()
    try:
        assert storage.called.wait(TIMEOUT_SECONDS)
        job = stored_job(database)
        new_claim(database, job.segments[0], lease_seconds=-1)
        wait_for(lambda: queue.depth() == 1)
        stop.set()
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive()
    finally:
        stop.set()
        storage.released.set()
        thread.join(TIMEOUT_SECONDS)


def test_rows_and_rounds_are_counted_without_a_broker(
    database: Database, settings: Settings
) -> None:
    frequent = settings.model_copy(update={"sweep_seconds": 0.05})
    queue, stop, counters = MemoryQueue(), threading.Event(), Counters()
    queue.is_down = True
    stored_job(database)

    def has_measures() -> bool:
        with database.read() as session:
            return bool(session.scalars(select(MeasureRow.name)).all())

    thread = threading.Thread(
        target=_loop,
        args=(database, queue, frequent, stop),
        kwargs={"counters": counters, "count": lambda _count: None},
    )
    thread.start()
    try:
        wait_for(has_measures)
    finally:
        stop.set()
        thread.join(TIMEOUT_SECONDS)
    assert counters.take()["sweeps", ""] >= 1


def test_the_command_can_run_one_round(
    database_url: str, database: Database, settings: Settings
) -> None:
    stored_job(database)
    service_settings = settings.model_copy(update={"database_url": database_url})

    run_sweep(service_settings, once=True)

    assert len(list((settings.data_folder / "queue" / "messages").iterdir())) == 1


def test_files_that_no_row_refers_to_are_removed(database: Database, storage: LocalStorage) -> None:
    job = stored_job(database)
    kept, lost = (publish_file(storage, job.id, token) for token in ("kept", "lost"))
    row = artifact("0-a.mp4")
    finish_segment(
        database,
        new_claim(database, job.segments[0]),
        results(artifacts=[replace(row, storage_key=kept)]),
    )
    orphan = publish_file(storage, str(uuid.uuid4()), "t")

    assert sweep_files(database, storage) == 0, "a young file may be about to get its row"
    for path in storage.folder.rglob("*"):
        os.utime(path, (0, 0))
    assert sweep_files(database, storage) == 2

    assert storage.path_of(kept).exists()
    assert not storage.path_of(lost).exists()
    assert not storage.path_of(orphan).parent.parent.parent.exists()


def test_files_of_a_running_attempt_are_kept_however_old_they_seem(
    database: Database, storage: LocalStorage
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    key = publish_file(storage, job.id, claim.token)

    assert sweep_files(database, storage, orphan_seconds=0) == 0
    assert storage.path_of(key).exists()

    release_segment(database, claim, reason="enough", counts=True)
    assert sweep_files(database, storage, orphan_seconds=0) == 1
