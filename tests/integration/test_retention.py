"""Deletion and expiry: no row and no file of a job remains, which is verified and audited."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import update

from faces_jobs.db.audit import open_deletions
from faces_jobs.db.claims.leases import claim_job
from faces_jobs.db.claims.release import release_segment
from faces_jobs.db.clock import now_seconds
from faces_jobs.db.jobs.deletion import rows_left
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.results import (
    cancel_job,
    get_job,
    list_audit,
    list_faces,
    list_jobs,
    pause_job,
    retry_job,
)
from faces_jobs.retention import complete_deletions, delete_expired, delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.submit import submit_files
from faces_jobs.worker.maintenance.sweep import run_sweep
from tests.factories import face, new_claim, results, stored_job, track
from tests.integration.deletions import make_due, only_entry, stored_files
from tests.integration.harness import SMALL_FACES, Harness


def test_nothing_of_a_deleted_job_remains_and_the_audit_records_it(
    harness: Harness, clip: Path
) -> None:
    database, storage = harness.worker.database, harness.worker.storage
    job_id = harness.submit(clip)
    other = stored_job(database)
    finish_segment(database, new_claim(database, other.segments[0]), results([face()], [track()]))
    kept = rows_left(database, other.id)
    options = SMALL_FACES.model_copy(update={"webhook": "https://a.example/"})
    with database.begin() as session:
        session.execute(update(JobRow).values(options=options.model_dump(mode="json")))
    harness.work(job_id)
    before = stored_files(harness)
    assert any("thumbnail" in path.name or path.suffix == ".jpg" for path in before)
    rows = rows_left(database, job_id)
    assert rows > 20, "faces, tracks, artifacts, delivery and the rest"

    assert delete_job(job_id, database=database, storage=storage, by="api")

    assert stored_files(harness) == []
    assert rows_left(database, job_id) == 0
    assert {one.job_id for one in list_faces(database, FaceQuery(job_id=None)).faces} == {other.id}
    assert rows_left(database, other.id) == kept
    entry = only_entry(database)
    assert (entry.what, entry.job_id, entry.why, entry.by) == (
        "job_deleted",
        job_id,
        "asked",
        "api",
    )
    assert entry.rows >= rows
    assert entry.files == len(before)
    assert entry.bytes > clip.stat().st_size
    assert entry.verified_at is not None
    assert (entry.attempts, entry.last_error) == (1, None)
    with pytest.raises(NotFoundError):
        delete_job(job_id, database=database, storage=storage)
    assert len(list_audit(database).entries) == 1


def test_a_file_that_cannot_be_removed_is_reported_and_retried(
    harness: Harness, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = harness.worker.database, harness.worker.storage
    job_id = harness.submit(clip)
    rmtree = shutil.rmtree

    def failing_rmtree(path: Path, **how: object) -> None:
        if "trash" in str(path):
            how["onerror"](None, path, (OSError, OSError(5, "Input/output error"), None))  # type: ignore[operator]
        else:
            rmtree(path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(shutil, "rmtree", failing_rmtree)
    assert not delete_job(job_id, database=database, storage=storage)

    entry = only_entry(database)
    assert entry.verified_at is None
    assert entry.last_error is not None
    assert "remain" in entry.last_error
    assert "Input/output error" in entry.last_error
    assert (entry.files, entry.bytes) == (0, 0)
    assert complete_deletions(database, storage) == 0, "a pause comes before the next attempt"
    make_due(database)
    assert complete_deletions(database, storage) == 1
    monkeypatch.undo()
    make_due(database)

    assert complete_deletions(database, storage) == 0

    entry = only_entry(database)
    assert entry.verified_at is not None
    assert (entry.files, entry.attempts, entry.last_error) == (1, 3, None)
    assert stored_files(harness) == []


def test_the_sweep_completes_a_deletion_that_crashed_before_the_files(
    harness: Harness, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, storage = harness.worker.database, harness.worker.storage
    job_id = harness.submit(clip)

    def interrupted(_self: LocalStorage, _job_id: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalStorage, "delete_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        delete_job(job_id, database=database, storage=storage)
    monkeypatch.undo()
    assert stored_files(harness) != []

    assert complete_deletions(database, storage) == 0

    assert stored_files(harness) == []
    assert only_entry(database).verified_at is not None


def test_a_deletion_is_not_verified_while_a_worker_may_have_files_of_the_job(
    database: Database, storage: LocalStorage
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0], lease_seconds=60)
    with storage.workspace(claim.token) as workspace:
        (workspace / "out").mkdir()
        (workspace / "out" / "face.jpg").write_bytes(b"x")
        assert not delete_job(job.id, database=database, storage=storage)
        assert only_entry(database).last_error == "a worker has not released it yet"
        storage.publish(workspace / "out", job_id=job.id, owner="1", token=claim.token)
        (deletion,) = open_deletions(database, limit=9, audit_id=only_entry(database).id)
        assert deletion.held
    make_due(database)

    assert complete_deletions(database, storage) == 0

    assert storage.files_left(job.id) == 0
    assert only_entry(database).verified_at is not None


def test_a_deletion_waits_for_workers_whose_lease_is_no_longer_recorded(
    database: Database, storage: LocalStorage
) -> None:
    paused, taken_over = stored_job(database), stored_job(database)
    finish_segment(database, new_claim(database, paused.segments[0]), results())
    exports = claim_job(database, paused.id, worker="w", lease_seconds=60, max_attempts=3)
    assert exports is not None
    zombie = new_claim(database, taken_over.segments[0], lease_seconds=-1)
    release_segment(database, new_claim(database, taken_over.segments[0]), reason="", counts=False)
    pause_job(database, paused.id)
    for job, token in ((paused, exports.token), (taken_over, zombie.token)):
        with storage.workspace(token) as workspace:
            (workspace / "faces.csv").write_bytes(b"x")
            assert not delete_job(job.id, database=database, storage=storage)
            make_due(database)
        assert complete_deletions(database, storage) == 0
    assert [entry.last_error for entry in list_audit(database).entries] == [None, None]


def test_the_workspace_of_a_dead_worker_is_removed_with_the_job(
    database: Database, storage: LocalStorage
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0], lease_seconds=60)
    left = storage.folder / "work" / claim.token
    left.mkdir(parents=True)
    (left / "face.jpg").write_bytes(b"x")
    assert not delete_job(job.id, database=database, storage=storage)
    assert left.exists()
    make_due(database)

    assert complete_deletions(database, storage) == 0

    assert not left.exists()


def test_jobs_expire_some_days_after_their_end(database: Database, storage: LocalStorage) -> None:
    short = stored_job(database, spec=JobSpec(keep_days=0.5))
    running = stored_job(database, spec=JobSpec(keep_days=0.5))
    kept = stored_job(database)
    for job in (short, kept):
        cancel_job(database, job.id)
    document = get_job(database, short.id)
    assert document.ended_at is not None
    assert document.delete_at is not None
    assert (document.delete_at - document.ended_at).total_seconds() == pytest.approx(43_200)
    assert get_job(database, kept.id).delete_at is None
    assert get_job(database, running.id).delete_at is None
    assert delete_expired(database, storage) == 0, "it has not expired yet"
    with database.begin() as session:
        session.execute(
            update(JobRow).where(JobRow.id != kept.id).values(delete_at=now_seconds() - 1)
        )

    assert delete_expired(database, storage) == 1

    assert {job.id for job in list_jobs(database).jobs} == {running.id, kept.id}
    entry = only_entry(database)
    assert (entry.job_id, entry.why, entry.by) == (short.id, "expired", "retention")


@pytest.mark.parametrize(("option", "kept"), [(None, 30.0), (7.0, 7.0)])
def test_the_setting_applies_to_jobs_without_the_option(
    harness: Harness, clip: Path, option: float | None, kept: float
) -> None:
    worker = harness.worker
    with worker.storage.receive() as incoming:
        job_id = submit_files(
            [incoming.add("a.mp4", [clip.read_bytes()])],
            JobSpec(keep_days=option),
            database=worker.database,
            storage=worker.storage,
            queue=worker.queue,
            settings=worker.settings.model_copy(update={"keep_days": 30.0}),
        ).job_id
    assert get_job(worker.database, job_id).options.keep_days == kept


def test_a_job_that_is_retried_while_others_expire_is_kept(harness: Harness) -> None:
    database, storage = harness.worker.database, harness.worker.storage
    first, second = (stored_job(database, ["a.mp4"]) for _ in range(2))
    for job in (first, second):
        cancel_job(database, job.id)
    with database.begin() as session:
        for job, ago in ((first, 2), (second, 1)):
            due = now_seconds() - ago
            session.execute(update(JobRow).where(JobRow.id == job.id).values(delete_at=due))
    delete_files = storage.delete_job

    def retry_the_second(job_id: str) -> object:
        if job_id == first.id:
            retry_job(database, harness.worker.queue, second.id)
        return delete_files(job_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "delete_job", retry_the_second)
        assert delete_expired(database, storage) == 1

    assert [job.id for job in list_jobs(database).jobs] == [second.id]
    assert get_job(database, second.id).status == "queued"


def test_the_sweep_deletes_expired_jobs(
    database_url: str, database: Database, settings: Settings
) -> None:
    job = stored_job(database, spec=JobSpec(keep_days=1))
    cancel_job(database, job.id)
    with database.begin() as session:
        session.execute(update(JobRow).values(delete_at=now_seconds() - 1))

    run_sweep(settings.model_copy(update={"database_url": database_url}), once=True)

    assert list_jobs(database).jobs == []
    assert only_entry(database).verified_at is not None


def test_the_audit_is_paged_newest_first(database: Database, storage: LocalStorage) -> None:
    jobs = [stored_job(database) for _ in range(3)]
    for job in jobs:
        delete_job(job.id, database=database, storage=storage)
    first = list_audit(database, limit=2)
    rest = list_audit(database, limit=2, cursor=first.next_cursor)
    assert [one.job_id for one in (*first.entries, *rest.entries)] == [
        job.id for job in reversed(jobs)
    ]
    assert rest.next_cursor is None
    assert [one.job_id for one in list_audit(database, job_id=jobs[1].id).entries] == [jobs[1].id]
