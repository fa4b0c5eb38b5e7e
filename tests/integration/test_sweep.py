"""The sweep: what waits is rung for again, what kills is given up, what is lost is tidied."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from faces_jobs.counters import Counters
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.leases import claim_job
from faces_jobs.db.release import release_segment
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, MeasureRow, SegmentRow
from faces_jobs.errors import QueueError
from faces_jobs.queue import CeleryQueue
from faces_jobs.results import get_job, list_items
from faces_jobs.settings import Settings
from faces_jobs.storage import JobFolder, LocalStorage
from faces_jobs.worker.sweep import (
    ENOUGH_MESSAGES,
    SweepReport,
    _loop,
    run_rounds,
    run_sweep,
    sweep,
)
from tests.factories import artifact, claimed, face, results, stored_job
from tests.integration.processes import wait_for
from tests.integration.stored_states import expire
from tests.integration.tidying import sweep_files
from tests.services import PATIENCE_SECONDS


class MemoryQueue:
    """A queue that keeps its messages in a list; the real thing but for the broker."""

    def __init__(self) -> None:
        self.segments: list[int] = []
        self.jobs: list[str] = []
        self.silent = False

    def ring_segment(self, segment_id: int) -> None:
        self._speak()
        self.segments.append(segment_id)

    def ring_job(self, job_id: str) -> None:
        self._speak()
        self.jobs.append(job_id)

    def depth(self) -> int:
        self._speak()
        return len(self.segments) + len(self.jobs)

    def take(self) -> list[int]:
        """All segments that were rung for, which empties the queue."""
        taken, self.segments = self.segments, []
        return taken

    def close(self) -> None: ...

    def __enter__(self) -> MemoryQueue:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def _speak(self) -> None:
        if self.silent:
            raise QueueError("silent")


@pytest.fixture
def bells() -> Iterator[MemoryQueue]:
    with MemoryQueue() as queue:
        yield queue


def long_ago(database: Database, seconds: float = 3600) -> None:
    """Make every bell one that rang long ago."""
    with database.begin() as session:
        for table in (SegmentRow, JobRow):
            session.execute(update(table).values(last_rung_at=now_seconds() - seconds))


def test_segments_that_nobody_was_told_of_are_rung_for_once(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])

    assert sweep(database, bells, settings) == SweepReport(2, 0, 0)
    assert bells.take() == list(job.segments)
    assert sweep(database, bells, settings) == SweepReport(0, 0, 0)


def test_segments_whose_message_may_be_lost_are_rung_for_again(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    sweep(database, bells, settings)
    bells.take()
    long_ago(database)

    sweep(database, bells, settings)

    assert bells.take() == list(job.segments)


def test_a_clock_that_was_set_back_does_not_silence_the_bell(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    long_ago(database, seconds=-3600)

    sweep(database, bells, settings)

    assert bells.take() == list(job.segments)


def test_a_backlog_is_not_rung_for_on_top_of_its_messages(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    stored_job(database, [f"{number}.mp4" for number in range(ENOUGH_MESSAGES + 5)])
    sweep(database, bells, settings)
    waiting = bells.depth()
    for _ in range(5):
        long_ago(database)
        sweep(database, bells, settings)

    assert bells.depth() == waiting


def test_an_orphan_is_rung_for_however_many_messages_wait(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    claimed(database, job.segments[0])
    bells.segments = [0] * 1000
    assert sweep(database, bells, settings).segments_rung == 0
    expire(database, job.segments[0])

    assert sweep(database, bells, settings).segments_rung == 1
    assert bells.take()[-1] == job.segments[0]
    assert sweep(database, bells, settings).segments_rung == 0, "once, not in every round"
    assert claimed(database, job.segments[0], worker="bob").attempt == 2


def test_what_ends_every_attempt_without_a_word_is_given_up(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database, ["killer.mp4", "good.mp4"])
    finish_segment(database, claimed(database, job.segments[1]), results([face()]))
    for number in range(settings.max_attempts):
        claimed(database, job.segments[0], worker=f"worker-{number}")
        assert sweep(database, bells, settings).given_up == 0
        expire(database, job.segments[0])

    assert sweep(database, bells, settings) == SweepReport(0, 1, 1)

    assert bells.jobs == [job.id]
    item = list_items(database, job.id).items[0]
    assert item.error is not None
    assert item.error.code == "poison"
    assert "3 attempts" in item.error.message
    assert "worker-2" in item.error.message
    assert get_job(database, job.id).status == "finishing"
    assert sweep(database, bells, settings).given_up == 0


def test_work_that_was_handed_back_after_a_failure_waits_a_little(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    release_segment(database, claimed(database, job.segments[0]), reason="disk full", counts=True)
    assert sweep(database, bells, settings).segments_rung == 0
    release_segment(database, claimed(database, job.segments[0]), reason="stopping", counts=False)
    assert sweep(database, bells, settings).segments_rung == 1


def test_jobs_whose_exports_nobody_writes_are_rung_for(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    finish_segment(database, claimed(database, job.segments[0]), results())

    assert sweep(database, bells, settings).jobs_rung == 1
    assert sweep(database, bells, settings).jobs_rung == 0
    assert claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    long_ago(database)
    assert sweep(database, bells, settings).jobs_rung == 0, "somebody is at it"
    with database.begin() as session:
        session.execute(update(JobRow).values(lease_until=now_seconds() - 1))
    assert sweep(database, bells, settings).jobs_rung == 1


@pytest.mark.parametrize(
    ("error_free", "ended"), [(True, "succeeded_with_errors"), (False, "failed")]
)
def test_exports_that_end_every_attempt_are_given_up(
    database: Database,
    bells: MemoryQueue,
    settings: Settings,
    error_free: bool,
    ended: str,
) -> None:
    job = stored_job(database, ["a.mp4"] if error_free else ["a.mp4", "b.txt"], refused=["b.txt"])
    if error_free:
        finish_segment(database, claimed(database, job.segments[0]), results())
    else:
        for _ in range(settings.max_attempts):
            claimed(database, job.segments[0])
            expire(database, job.segments[0])
        sweep(database, bells, settings)
    for _ in range(settings.max_attempts):
        assert claim_job(
            database, job.id, worker="w", lease_seconds=-1, max_attempts=settings.max_attempts
        )

    assert sweep(database, bells, settings).given_up == 1

    document = get_job(database, job.id)
    assert document.status == ended
    assert document.error is not None
    assert document.error.code == "poison"


def test_two_sweeps_at_once_give_up_once(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    jobs = [stored_job(database) for _ in range(5)]
    for job in jobs:
        for _ in range(settings.max_attempts):
            claimed(database, job.segments[0])
            expire(database, job.segments[0])
    reports: list[SweepReport] = []
    barrier = threading.Barrier(3)

    def run() -> None:
        barrier.wait()
        reports.append(sweep(database, bells, settings))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(report.given_up for report in reports) == 5
    assert {get_job(database, job.id).status for job in jobs} == {"finishing"}


def test_a_silent_broker_is_told_and_costs_nothing(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    bells.silent = True
    with pytest.raises(QueueError):
        sweep(database, bells, settings)
    bells.silent = False
    sweep(database, bells, settings)
    assert bells.take() == list(job.segments)


def test_what_a_round_did_before_the_broker_failed_is_counted(
    database: Database, bells: MemoryQueue, settings: Settings
) -> None:
    job = stored_job(database)
    for _ in range(settings.max_attempts):
        claimed(database, job.segments[0])
        expire(database, job.segments[0])
    bells.silent = True
    counters = Counters()
    with pytest.raises(QueueError):
        sweep(database, bells, settings, counters=counters)
    counts = counters.take()
    assert (counts["sweeps", ""], counts["poison", ""]) == (1, 1)


def test_a_data_folder_that_is_gone_silences_no_bell(
    database: Database, bells: MemoryQueue, settings: Settings, tmp_path: Path
) -> None:
    job = stored_job(database)
    gone = tmp_path / "gone"
    gone.touch()
    sweep(database, bells, settings.model_copy(update={"data_folder": gone}))
    assert bells.take() == list(job.segments)


class Hanging(LocalStorage):
    """Storage that answers nobody who compares, before it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked, self.released = threading.Event(), threading.Event()

    def job_folders(self, after: str = "") -> Iterator[JobFolder]:
        self.asked.set()
        self.released.wait(PATIENCE_SECONDS)
        return super().job_folders(after)


def test_rescue_waits_for_no_comparison_nor_does_the_end(
    database: Database, queue: CeleryQueue, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.worker.reconciler_thread.JOIN_TIMEOUT_SECONDS", 0.1)
    storage, stop = Hanging(settings.data_folder / "files"), threading.Event()
    hurried = settings.model_copy(update={"sweep_seconds": 0.05})
    thread = threading.Thread(
        target=run_rounds,
        args=(database, queue, storage, hurried, stop),
        kwargs={"counters": Counters()},
    )
    thread.start()
    try:
        assert storage.asked.wait(PATIENCE_SECONDS)
        job = stored_job(database)
        claimed(database, job.segments[0], lease_seconds=-1)
        wait_for(lambda: queue.depth() == 1)
        stop.set()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    finally:
        stop.set()
        storage.released.set()
        thread.join(PATIENCE_SECONDS)


def test_without_a_broker_rows_are_counted_and_rounds_too(
    database: Database, settings: Settings
) -> None:
    hurried = settings.model_copy(update={"sweep_seconds": 0.05})
    silent, stop, counters = MemoryQueue(), threading.Event(), Counters()
    silent.silent = True
    stored_job(database)

    def measured() -> bool:
        with database.read() as session:
            return bool(session.scalars(select(MeasureRow.name)).all())

    thread = threading.Thread(
        target=_loop,
        args=(database, silent, hurried, stop),
        kwargs={"counters": counters, "count_rung": lambda _count: None},
    )
    thread.start()
    try:
        wait_for(measured)
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert counters.take()["sweeps", ""] >= 1


def test_one_round_as_a_command(database_url: str, database: Database, settings: Settings) -> None:
    stored_job(database)
    here = settings.model_copy(update={"database_url": database_url})

    run_sweep(here, once=True)

    assert len(list((settings.data_folder / "queue" / "messages").iterdir())) == 1


def test_files_that_no_row_speaks_of_are_removed(database: Database, storage: LocalStorage) -> None:
    job = stored_job(database)
    kept, lost = (_published(storage, job.id, token=token) for token in ("kept", "lost"))
    row = artifact("0-a.mp4")
    finish_segment(
        database,
        claimed(database, job.segments[0]),
        results(artifacts=[replace(row, storage_key=kept)]),
    )
    orphan = _published(storage, str(uuid.uuid4()), token="t")

    assert sweep_files(database, storage) == 0, "what is young may be about to get its row"
    for path in storage.folder.rglob("*"):
        os.utime(path, (0, 0))
    assert sweep_files(database, storage) == 2

    assert storage.path_of(kept).exists()
    assert not storage.path_of(lost).exists()
    assert not storage.path_of(orphan).parent.parent.parent.exists()


def test_files_whose_attempt_goes_on_are_left_however_old_the_clock_makes_them(
    database: Database, storage: LocalStorage
) -> None:
    job = stored_job(database)
    claim = claimed(database, job.segments[0])
    key = _published(storage, job.id, token=claim.token)

    assert sweep_files(database, storage, orphan_seconds=0) == 0
    assert storage.path_of(key).exists()

    release_segment(database, claim, reason="enough", counts=True)
    assert sweep_files(database, storage, orphan_seconds=0) == 1


def _published(storage: LocalStorage, job_id: str, *, token: str) -> str:
    with storage.workspace(token) as workspace:
        (workspace / "out").mkdir()
        (workspace / "out" / "f").write_text("x")
        stored = storage.publish(workspace / "out", job_id=job_id, owner="1", token=token)
    return stored["f"].key
