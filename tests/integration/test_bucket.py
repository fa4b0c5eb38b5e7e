"""Work with files in a bucket: while it is away, if files are missing, and what is removed."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from faces_jobs.db.reconcile_queries import artifacts_after
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow, JobRow, SegmentRow
from faces_jobs.errors import (
    StorageError,
)
from faces_jobs.queue.messages import BrokerMessages
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import get_job, list_artifacts
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage, s3
from faces_jobs.storage.bucket import BucketStorage
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.maintenance import reconcile
from faces_jobs.worker.maintenance.reconcile import Reconciler, ReconcileReport
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.process import process_segment
from tests.buckets import BUCKET, BucketPrefix
from tests.factories import artifact, new_claim, results, stored_job
from tests.integration.harness import Harness
from tests.integration.stored_files import publish_file, sweep_files

JOB = str(uuid.UUID(int=1))


@pytest.fixture
def in_bucket(harness: Harness, bucket: BucketPrefix) -> Harness:
    """The harness with a worker whose files are in a bucket."""
    settings = bucket.settings(harness.worker.settings)
    harness.worker = replace(harness.worker, settings=settings, storage=open_storage(settings))
    return harness


@pytest.fixture
def storage(settings: Settings, bucket: BucketPrefix) -> BucketStorage:
    opened = open_storage(bucket.settings(settings))
    assert isinstance(opened, BucketStorage)
    return opened


@pytest.fixture
def requests(storage: BucketStorage, bucket: BucketPrefix) -> list[str]:
    """The requests to the bucket so far: each one's operation, and the prefix that it lists."""
    sent: list[str] = []

    def add(params: dict[str, Any], model: Any, **_: Any) -> None:
        prefix = params.get("Prefix", "").removeprefix(f"{bucket.prefix}/")
        sent.append(f"{model.name} {prefix}".strip())

    client = storage._bucket._client()
    client.meta.events.register("provide-client-params.s3", add)
    return sent


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    """The URL of one kind of database, which is enough: none knows about buckets."""
    return sqlite_database_url


@pytest.fixture
def reconciler(
    database: Database, storage: Storage, settings: Settings, queue: CeleryQueue
) -> Reconciler:
    return Reconciler(
        database=database, messages=BrokerMessages(queue.app), storage=storage, settings=settings
    )


def test_a_submission_to_an_unreachable_bucket_leaves_nothing(
    in_bucket: Harness, bucket: BucketPrefix, photo: Path
) -> None:
    unreachable = bucket.settings(in_bucket.worker.settings, s3_endpoint="http://127.0.0.1:1")
    in_bucket.worker = replace(in_bucket.worker, storage=open_storage(unreachable))
    with pytest.raises(StorageError):
        in_bucket.submit(photo)
    with in_bucket.worker.database.read() as session:
        assert session.scalars(select(JobRow)).all() == []
    assert not any(path.is_file() for path in in_bucket.worker.storage.folder.rglob("*"))


@pytest.mark.parametrize("stage", ["work", "exports"])
def test_work_waits_for_the_bucket_without_costing_an_attempt(
    in_bucket: Harness,
    bucket: BucketPrefix,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    worker = in_bucket.worker
    job_id = in_bucket.submit(photo)
    (segment_id,) = in_bucket.segments(job_id)
    refused = replace(
        worker, storage=open_storage(bucket.settings(worker.settings, s3_access_key_id="WRONG"))
    )
    if stage == "exports":
        with monkeypatch.context() as patched:
            patched.setattr("faces_jobs.worker.process.finish_job", lambda *_: None)
            process_segment(segment_id, worker)
    before = bucket.keys()
    for _ in range(worker.settings.max_attempts + 1):
        process_segment(segment_id, refused)
        finish_job(job_id, refused)

    assert bucket.keys() == before
    assert not get_job(worker.database, job_id).status.ended
    table = SegmentRow if stage == "work" else JobRow
    with worker.database.read() as session:
        assert session.scalars(select(table.attempts)).one() <= (stage == "exports")
        assert "can't be used" in (session.scalars(select(table.last_error)).one() or "")

    process_segment(segment_id, worker)
    finish_job(job_id, worker)
    assert get_job(worker.database, job_id).status == "succeeded"


class AbortError(Exception):
    """Raised by a progress callback to abort the transfer."""


# boto3 leaves the connection of an aborted download to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_transfers_report_progress_and_the_callback_can_abort_them(
    storage: Storage, bucket: BucketPrefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)  # several parts, which could be left behind
    calls: list[int] = []

    def abort() -> None:
        calls.append(1)
        raise AbortError

    def publish(on_progress: Callable[[], None]) -> str:
        with storage.workspace(uuid.uuid4().hex) as workspace:
            out = workspace / "out"
            out.mkdir()
            (out / "film.mp4").write_bytes(b"x" * 20 * 2**20)
            return storage.publish(out, job_id=JOB, owner="1", token="t", on_progress=on_progress)[
                "film.mp4"
            ].key

    key = publish(lambda: calls.append(1))
    assert calls
    brought = tmp_path / "brought"
    brought.mkdir()
    storage.fetch_all([key], brought, on_progress=lambda: calls.append(1))
    operations: list[Callable[[], object]] = [
        lambda: storage.fetch(key, on_progress=abort).__enter__(),
        lambda: storage.fetch_all([key], tmp_path, on_progress=abort),
        lambda: publish(abort),
    ]
    for operation in operations:
        calls.clear()
        with pytest.raises(AbortError):
            operation()
        assert len(calls) == 1
    gc.collect()
    assert not any(path.is_file() for path in storage.folder.rglob("*"))
    assert not any(path.is_file() for path in tmp_path.glob("*.mp4"))
    assert bucket.keys() == []
    assert bucket.pending_uploads() == []


def test_a_deletion_completes_when_the_bucket_is_available_again(
    in_bucket: Harness, bucket: BucketPrefix, photo: Path
) -> None:
    database = in_bucket.worker.database
    job_id = in_bucket.submit(photo)
    wrong = bucket.settings(in_bucket.worker.settings, s3_access_key_id="WRONG")

    assert not delete_job(job_id, database=database, storage=open_storage(wrong))

    with database.read() as session:
        entry = session.scalars(select(AuditRow)).one()
    assert entry.verified_at is None
    assert "remaining files can't be counted" in (entry.last_error or "")
    assert bucket.keys() == [f"jobs/{job_id}/uploads/0"]
    assert sweep_files(database, in_bucket.worker.storage, orphan_seconds=0) == 1
    assert bucket.keys() == []


def test_rows_are_compared_with_the_bucket_and_the_bucket_with_rows(
    database: Database, storage: Storage, bucket: BucketPrefix, reconciler: Reconciler
) -> None:
    job = stored_job(database)
    kept = publish_file(storage, job.id, "kept")
    finish_segment(
        database,
        new_claim(database, job.segments[0]),
        results(artifacts=[replace(artifact("0-a.mp4"), storage_key=kept)]),
    )
    publish_file(storage, job.id, "lost")
    publish_file(storage, str(uuid.uuid4()), "stranger")
    assert reconciler.run_round() == ReconcileReport(), "a young file may be about to get its row"

    assert sweep_files(database, storage, orphan_seconds=0) == 2
    assert bucket.keys() == [kept]

    client = bucket.server.client
    client.delete_object(Bucket=BUCKET, Key=f"{bucket.prefix}/{kept}")
    assert reconciler.run_round() == ReconcileReport(files_missing=1)
    assert [one.missing for one in list_artifacts(database, job.id).artifacts] == [True]
    client.put_object(Bucket=BUCKET, Key=f"{bucket.prefix}/{kept}", Body=b"x")
    assert reconciler.run_round() == ReconcileReport(files_back=1)
    assert not any(row.missing for row in artifacts_after(database, 0, limit=9))


def test_files_are_looked_for_among_those_of_their_attempt_only(
    storage: BucketStorage, requests: list[str]
) -> None:
    keys = [publish_file(storage, JOB, f"t{number}") for number in range(8)]
    requests.clear()

    assert storage.existing(keys[:1]) == {keys[0]}

    assert requests == [f"ListObjectsV2 {keys[0].removesuffix('f')}"]


def test_attempts_are_removed_by_as_many_requests_as_one(
    storage: BucketStorage, requests: list[str], bucket: BucketPrefix
) -> None:
    counts = []
    for count in (1, 8):
        keys = [publish_file(storage, JOB, f"t{number}") for number in range(count)]
        requests.clear()
        storage.remove_attempts([key.removesuffix("/f") for key in keys])
        counts.append(len(requests))
        assert bucket.keys() == []

    assert counts[0] == counts[1]


def test_removing_attempts_leaves_others_with_similar_keys_alone(
    storage: BucketStorage, bucket: BucketPrefix
) -> None:
    keys = [publish_file(storage, JOB, f"t{number}") for number in range(3)]
    unfinished = [f"{key}.mp4" for key in keys]
    for key in unfinished:
        bucket.server.client.create_multipart_upload(Bucket=BUCKET, Key=f"{bucket.prefix}/{key}")

    storage.remove_attempts([key.removesuffix("/f") for key in keys[:2]])

    assert bucket.keys() == keys[2:]
    assert bucket.pending_uploads() == unfinished[2:]


def test_only_folders_of_dead_processes_are_removed_from_this_machine(
    storage: BucketStorage, settings: Settings, bucket: BucketPrefix
) -> None:
    used, young, abandoned = "0" * 32, "8" * 32, "f" * 32
    with storage.workspace(used) as workspace, storage.receive() as incoming:
        file = incoming.add("film.mp4", [b"abc"])
        for kind in ("work", "incoming"):
            (storage.folder / kind / abandoned).mkdir()
            for folder in (storage.folder / kind).iterdir():
                os.utime(folder, (0, 0))
        (storage.folder / "work" / young).mkdir()  # it may not have its lock yet
        other = open_storage(bucket.settings(settings))

        with other.receive(), other.workspace(uuid.uuid4().hex):
            pass

        assert workspace.is_dir()
        assert (storage.folder / "work" / young).is_dir()
        assert file.path.is_file()
        assert bucket.keys() == [f"work/{used}"]
    assert not list(storage.folder.glob(f"*/{abandoned}"))


def test_workspace_marks_of_dead_workers_are_removed(
    database: Database,
    bucket: BucketPrefix,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = stored_job(database)
    alive, dead = new_claim(database, job.segments[0]).token, uuid.uuid4().hex
    for token in (alive, dead):
        client = bucket.server.client
        client.put_object(Bucket=BUCKET, Key=f"{bucket.prefix}/work/{token}", Body=b"")
    assert reconciler.run_round() == ReconcileReport()
    monkeypatch.setattr(reconcile, "WORKSPACE_LEASES", 0)
    assert reconciler.run_round() == ReconcileReport(workspaces_left=1)
    assert bucket.keys() == [f"work/{alive}"]


def test_images_in_a_bundle_wait_for_the_bucket_too(
    in_bucket: Harness, bucket: BucketPrefix, photo: Path
) -> None:
    worker = in_bucket.worker
    job_id = in_bucket.submit(photo, photo)
    wrong = bucket.settings(worker.settings, s3_access_key_id="WRONG")
    refused = replace(worker, storage=open_storage(wrong))

    for _ in range(worker.settings.max_attempts + 1):
        take_next_work(refused)

    with worker.database.read() as session:
        assert set(session.scalars(select(SegmentRow.attempts))) == {0}
        assert set(session.scalars(select(SegmentRow.status))) == {"queued"}
    in_bucket.work(job_id)
    assert get_job(worker.database, job_id).status == "succeeded"
