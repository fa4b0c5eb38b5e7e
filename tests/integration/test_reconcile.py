"""Reconciliation: rows, broker and storage are compared both ways, and differences are repaired."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import event

from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.errors import QueueError
from faces_jobs.queue.messages import BrokerMessages, Message
from faces_jobs.queue.producer import JOB_TASK, SEGMENT_TASK, CeleryQueue, open_queue
from faces_jobs.results import cancel_job, list_artifacts, list_items
from faces_jobs.retention import ORPHAN_SECONDS, delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.worker.maintenance import reconcile
from faces_jobs.worker.maintenance.first_seen import FirstSeen
from faces_jobs.worker.maintenance.reconcile import WORKSPACE_LEASES, Reconciler, ReconcileReport
from faces_jobs.worker.maintenance.sweep import run_sweep, sweep
from tests.factories import artifact, new_claim, results, stored_job
from tests.integration.stored_files import publish_file
from tests.integration.stored_states import expire


class UnreachableMessages:
    """The messages of a broker that does not answer."""

    def peek(self, _limit: int) -> list[Message]:
        raise QueueError("The broker does not answer.")

    def drop(self, _message: Message) -> bool:
        raise QueueError("The broker does not answer.")


@pytest.fixture
def new_reconciler(
    database: Database, queue: CeleryQueue, storage: LocalStorage, settings: Settings
) -> Callable[..., Reconciler]:
    """Create a reconciler of this test's stores; takes the optional arguments."""
    return partial(
        Reconciler,
        database=database,
        messages=BrokerMessages(queue.app),
        storage=storage,
        settings=settings,
    )


@pytest.fixture
def reconciler(new_reconciler: Callable[..., Reconciler]) -> Reconciler:
    return new_reconciler()


@pytest.fixture
def now() -> list[float]:
    """The only element is the time of `timed_reconciler`, in seconds."""
    return [0.0]


@pytest.fixture
def timed_reconciler(new_reconciler: Callable[..., Reconciler], now: list[float]) -> Reconciler:
    """A reconciler that measures by `now` how long ago it first saw a file."""
    return new_reconciler(first_seen=FirstSeen(lambda: now[0]))


def age(folder: Path, seconds: float) -> None:
    """Make a folder and everything in it older by so many seconds."""
    for path in (folder, *folder.rglob("*")):
        then = path.stat().st_mtime - seconds
        os.utime(path, (then, then))


def test_messages_are_listed_oldest_first_without_consuming_them(broker_settings: Settings) -> None:
    with open_queue(broker_settings) as queue:
        messages = BrokerMessages(queue.app)
        assert messages.peek(10) == []
        queue.ring_segment(7)
        queue.ring_job("a")
        queue.ring_segment(8)

        found = messages.peek(10)

        assert [(one.task, one.argument) for one in found] == [
            (SEGMENT_TASK, 7),
            (JOB_TASK, "a"),
            (SEGMENT_TASK, 8),
        ]
        assert [one.argument for one in messages.peek(2)] == [7, "a"]
        assert queue.depth() == 3
        assert messages.drop(found[1])
        assert not messages.drop(found[1]), "it was already removed"
        assert [one.argument for one in messages.peek(10)] == [7, 8]


def test_messages_for_which_there_is_no_work_are_dropped(
    broker_settings: Settings, storage: LocalStorage
) -> None:
    with open_database(broker_settings.database) as database, open_queue(broker_settings) as queue:
        messages = BrokerMessages(queue.app)
        reconciler = Reconciler(
            database=database, messages=messages, storage=storage, settings=broker_settings
        )
        waiting = stored_job(database, ["a.mp4", "b.mp4"])
        to_finish = stored_job(database)
        finish_segment(database, new_claim(database, to_finish.segments[0]), results())
        cancelled = stored_job(database)
        cancel_job(database, cancelled.id)
        for _ in range(3):
            for segment in waiting.segments:
                queue.ring_segment(segment)
        queue.ring_segment(10**9)
        for job_id in (to_finish.id, cancelled.id, str(uuid.uuid4())):
            queue.ring_job(job_id)

        assert reconciler.run_round().messages_without_work == 5 + 2

        left = messages.peek(100)
        assert [one.argument for one in left if one.task == SEGMENT_TASK] == list(waiting.segments)
        assert [one.argument for one in left if one.task == JOB_TASK] == [to_finish.id]
        assert reconciler.run_round() == ReconcileReport()


def test_messages_for_work_of_a_lost_worker_are_kept(
    broker_settings: Settings, storage: LocalStorage
) -> None:
    with open_database(broker_settings.database) as database, open_queue(broker_settings) as queue:
        job = stored_job(database)
        new_claim(database, job.segments[0], lease_seconds=-1)
        report = sweep(database, queue, broker_settings)
        assert report.segments_rung == 1
        messages = BrokerMessages(queue.app)
        reconciler = Reconciler(
            database=database, messages=messages, storage=storage, settings=broker_settings
        )
        assert reconciler.run_round().messages_without_work == 0
        assert [one.argument for one in messages.peek(10)] == [job.segments[0]]


def test_messages_of_a_flushed_broker_are_sent_again_from_the_rows(
    broker_settings: Settings, storage: LocalStorage
) -> None:
    with open_database(broker_settings.database) as database, open_queue(broker_settings) as queue:
        job = stored_job(database, ["a.mp4", "b.mp4"])
        report = sweep(database, queue, broker_settings)
        reconciler = Reconciler(
            database=database,
            messages=BrokerMessages(queue.app),
            storage=storage,
            settings=broker_settings,
        )
        assert reconciler.run_round(without_message=report.without_message) == ReconcileReport(
            rows_without_message=2
        )
        found = BrokerMessages(queue.app).peek(10)
        assert [one.argument for one in found] == list(job.segments)


def test_foreign_messages_are_left_alone(
    queue: CeleryQueue, settings: Settings, reconciler: Reconciler
) -> None:
    folder = settings.data_folder / "queue" / "messages"
    (folder / "00000000000000000001-x.faces_jobs.msg").write_text("no json")
    assert [one.task for one in BrokerMessages(queue.app).peek(10)] == [None]
    assert reconciler.run_round().messages_without_work == 0
    assert len(list(folder.iterdir())) == 1


def test_a_row_whose_file_is_missing_is_marked_until_the_file_is_back(
    database: Database, storage: LocalStorage, reconciler: Reconciler
) -> None:
    job = stored_job(database)
    key = publish_file(storage, job.id, "kept")
    row = replace(artifact("0-a.mp4"), storage_key=key)
    finish_segment(database, new_claim(database, job.segments[0]), results(artifacts=[row]))
    assert reconciler.run_round() == ReconcileReport()
    elsewhere = storage.folder / "elsewhere"
    shutil.move(storage.path_of(key), elsewhere)

    assert reconciler.run_round() == ReconcileReport(files_missing=1)

    assert [one.missing for one in list_artifacts(database, job.id).artifacts] == [True]
    assert [item.missing_files for item in list_items(database, job.id).items] == [1]
    assert reconciler.run_round() == ReconcileReport(), "a missing file is reported once"
    shutil.move(elsewhere, storage.path_of(key))
    assert reconciler.run_round() == ReconcileReport(files_back=1)
    assert [item.missing_files for item in list_items(database, job.id).items] == [0]


def test_a_job_that_is_deleted_meanwhile_has_no_missing_files(
    database: Database,
    storage: LocalStorage,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = stored_job(database)
    row = replace(artifact("0-a.mp4"), storage_key=publish_file(storage, job.id, "deleted"))
    finish_segment(database, new_claim(database, job.segments[0]), results(artifacts=[row]))
    look = storage.existing

    def existing(keys: Collection[str]) -> set[str]:
        delete_job(job.id, database=database, storage=storage)
        return look(keys)

    monkeypatch.setattr(storage, "existing", existing)
    assert reconciler.run_round() == ReconcileReport()


def test_files_without_a_row_are_removed_when_old_enough(
    database: Database, storage: LocalStorage, reconciler: Reconciler
) -> None:
    job = stored_job(database)
    lost = publish_file(storage, job.id, "lost")
    unknown = publish_file(storage, str(uuid.uuid4()), "t")
    assert reconciler.run_round() == ReconcileReport()
    age(storage.folder / "jobs", ORPHAN_SECONDS + 60)

    assert reconciler.run_round() == ReconcileReport(files_without_row=2)

    assert not storage.path_of(lost).exists()
    assert not storage.path_of(unknown).exists()


def test_a_sweep_with_a_fast_clock_removes_only_what_it_saw_for_an_hour(
    database: Database, storage: LocalStorage, timed_reconciler: Reconciler, now: list[float]
) -> None:
    job = stored_job(database)
    lost = publish_file(storage, job.id, "lost")
    unknown = publish_file(storage, str(uuid.uuid4()), "t")
    age(storage.folder / "jobs", ORPHAN_SECONDS + 60)
    assert timed_reconciler.run_round() == ReconcileReport(), (
        "a file that seems old may be about to get its row"
    )
    now[0] += ORPHAN_SECONDS / 2
    age(storage.folder / "jobs", ORPHAN_SECONDS / 2)
    later = publish_file(storage, str(uuid.uuid4()), "t")
    age(storage.path_of(later).parents[2], ORPHAN_SECONDS + 60)
    assert timed_reconciler.run_round() == ReconcileReport()
    now[0] += ORPHAN_SECONDS / 2
    age(storage.folder / "jobs", ORPHAN_SECONDS / 2)

    assert timed_reconciler.run_round() == ReconcileReport(files_without_row=2)

    assert storage.existing([lost, unknown, later]) == {later}


def test_what_was_seen_is_remembered_while_a_pass_takes_several_rounds(
    storage: LocalStorage,
    timed_reconciler: Reconciler,
    now: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "MAX_FOLDERS", 2)
    for _ in range(5):
        publish_file(storage, str(uuid.uuid4()), "t")
    assert [timed_reconciler.run_round().files_without_row for _ in range(3)] == [0, 0, 0]
    now[0] += ORPHAN_SECONDS
    age(storage.folder / "jobs", ORPHAN_SECONDS)

    assert [timed_reconciler.run_round().files_without_row for _ in range(3)] == [2, 2, 1]


def test_a_job_with_many_attempts_takes_as_many_queries_as_one_with_few(
    database: Database, storage: LocalStorage, reconciler: Reconciler
) -> None:
    statements: list[str] = []

    def watch(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    job = stored_job(database)
    event.listen(database.engine, "before_cursor_execute", watch)
    counts = []
    for attempts in (1, 9):
        for number in range(attempts):
            publish_file(storage, job.id, f"{attempts}x{number}")
        statements.clear()
        reconciler.run_round()
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_workspaces_of_dead_workers_are_removed(
    database: Database, storage: LocalStorage, settings: Settings, reconciler: Reconciler
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    alive = new_claim(database, job.segments[0]).token
    dead = uuid.uuid4().hex
    for token in (alive, dead):
        (storage.folder / "work" / token).mkdir(parents=True)
        (storage.folder / "work" / token / "file").write_text("x")
    assert reconciler.run_round() == ReconcileReport()
    age(storage.folder / "work", WORKSPACE_LEASES * settings.lease_seconds + 60)

    assert reconciler.run_round() == ReconcileReport(workspaces_left=1)

    assert [token for token, _ in storage.workspaces()] == [alive]


def test_expired_leases_are_counted(database: Database, reconciler: Reconciler) -> None:
    job = stored_job(database)
    new_claim(database, job.segments[0])
    assert reconciler.run_round() == ReconcileReport()
    expire(database, job.segments[0])
    assert reconciler.run_round() == ReconcileReport(leases_run_out=1)


def test_a_failing_broker_does_not_stop_the_other_comparisons(
    database: Database, storage: LocalStorage, settings: Settings
) -> None:
    publish_file(storage, str(uuid.uuid4()), "t")
    age(storage.folder / "jobs", ORPHAN_SECONDS + 60)
    reconciler = Reconciler(
        database=database, messages=UnreachableMessages(), storage=storage, settings=settings
    )
    assert reconciler.run_round() == ReconcileReport(files_without_row=1)


def test_successive_rounds_cover_everything(
    database: Database,
    storage: LocalStorage,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "MAX_ARTIFACTS", 2)
    monkeypatch.setattr(reconcile, "MAX_FOLDERS", 2)
    job = stored_job(database)
    rows = [artifact(f"{number}.mp4") for number in range(5)]
    finish_segment(database, new_claim(database, job.segments[0]), results(artifacts=rows))
    for _ in range(5):
        publish_file(storage, str(uuid.uuid4()), "t")
    age(storage.folder / "jobs", ORPHAN_SECONDS + 60)

    reports = [reconciler.run_round() for _ in range(4)]

    assert [one.files_missing for one in reports] == [2, 2, 1, 0]
    assert sum(one.files_without_row for one in reports) == 5
    assert list((storage.folder / "jobs").iterdir()) == []


def test_a_sweep_reconciles(database_url: str, storage: LocalStorage, settings: Settings) -> None:
    publish_file(storage, str(uuid.uuid4()), "t")
    age(storage.folder / "jobs", ORPHAN_SECONDS + 60)
    run_sweep(settings.model_copy(update={"database_url": database_url}), once=True)
    assert list((storage.folder / "jobs").iterdir()) == []
