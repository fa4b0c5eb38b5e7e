"""What can go wrong with a bucket: wrong settings, a server that is away, a kill in mid-upload."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from faces_jobs.db.reconcile_queries import artifacts_after
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import AuditRow, JobRow, SegmentRow
from faces_jobs.errors import StorageError, StorageRefusedError
from faces_jobs.queue import CeleryQueue
from faces_jobs.queue_messages import BrokerMessages
from faces_jobs.readiness import Readiness
from faces_jobs.results import get_job, list_artifacts
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage, s3
from faces_jobs.worker import reconcile
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.next_work import take_next_work
from faces_jobs.worker.process import process_segment
from faces_jobs.worker.reconcile import Reconciler, ReconcileReport
from tests.buckets import BUCKET, Place, breaking_server
from tests.factories import artifact, claimed, results, stored_job
from tests.integration.processes import storage_variables
from tests.integration.tidying import sweep_files
from tests.integration.workbench import Bench

JOB = str(uuid.UUID(int=1))
KEY = f"jobs/{JOB}/uploads/0"

WRONG: dict[str, tuple[dict[str, Any], type[StorageError], str]] = {
    "secret": (
        {"s3_secret_access_key": SecretStr("wrong")},
        StorageRefusedError,
        "check FACES_JOBS_S3_ACCESS_KEY_ID",
    ),
    "key": ({"s3_access_key_id": "AKIAWRONG"}, StorageRefusedError, "check FACES_JOBS_S3_ACCESS"),
    "bucket": ({"storage": "s3://no-such-bucket/x"}, StorageRefusedError, "create it, or correct"),
    "server": ({"s3_endpoint": "http://127.0.0.1:1"}, StorageError, "does not answer"),
}


@pytest.fixture
def in_bucket(bench: Bench, bucket: Place) -> Bench:
    """A worker whose files are in a bucket."""
    settings = bucket.settings(bench.worker.settings)
    bench.worker = replace(bench.worker, settings=settings, storage=open_storage(settings))
    return bench


@pytest.fixture
def storage(settings: Settings, bucket: Place) -> Storage:
    return open_storage(bucket.settings(settings))


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    """One kind of database is enough: they don't know of buckets."""
    return sqlite_database_url


@pytest.fixture
def reconciler(
    database: Database, storage: Storage, settings: Settings, queue: CeleryQueue
) -> Reconciler:
    return Reconciler(
        database=database, messages=BrokerMessages(queue.app), storage=storage, settings=settings
    )


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_by_every_question(
    settings: Settings, bucket: Place, wrong: str, tmp_path: Path
) -> None:
    values, kind, said = WRONG[wrong]
    storage = open_storage(bucket.settings(settings, **values))
    asked: list[Callable[[], object]] = [
        storage.check_writable,
        lambda: storage.open_file(KEY),
        lambda: storage.existing([KEY]),
        lambda: storage.fetch_all([KEY], tmp_path),
        lambda: storage.fetch(KEY).__enter__(),
        lambda: storage.workspace("t").__enter__(),
    ]
    for question in asked if wrong != "server" else asked[:2]:  # which is tried several times
        with pytest.raises(kind, match=said) as told:
            question()
        assert told.value.permanent == (kind is StorageRefusedError)
    removed = storage.delete_job(JOB)
    assert removed.files == 0
    assert removed.error is not None


@pytest.mark.parametrize("wrong", ["secret", "bucket"])
def test_readiness_tells_the_truth(
    settings: Settings, bucket: Place, database: Database, queue: CeleryQueue, wrong: str
) -> None:
    def missing(**values: Any) -> str | None:
        here = bucket.settings(settings, **values)
        readiness = Readiness(
            settings=here,
            database=database,
            storage=open_storage(here),
            queue=queue,
            timeout_seconds=60,
        )
        return readiness.check().missing.get("storage")

    assert missing() is None
    assert bucket.keys() == [], "the probe is removed"
    values, _, said = WRONG[wrong]
    assert said in (missing(**values) or "")


def test_a_submission_to_a_bucket_that_is_away_leaves_nothing(
    in_bucket: Bench, bucket: Place, photo: Path
) -> None:
    away = bucket.settings(in_bucket.worker.settings, s3_endpoint="http://127.0.0.1:1")
    in_bucket.worker = replace(in_bucket.worker, storage=open_storage(away))
    with pytest.raises(StorageError):
        in_bucket.submit(photo)
    with in_bucket.worker.database.read() as session:
        assert session.scalars(select(JobRow)).all() == []
    assert not any(path.is_file() for path in in_bucket.worker.storage.folder.rglob("*"))


@pytest.mark.parametrize("stage", ["work", "exports"])
def test_work_waits_for_a_bucket_and_costs_no_attempt(
    in_bucket: Bench, bucket: Place, photo: Path, monkeypatch: pytest.MonkeyPatch, stage: str
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


def test_a_download_that_breaks_off_again_and_again_says_nothing_about_the_file(
    settings: Settings, bucket: Place, tmp_path: Path
) -> None:
    with breaking_server() as endpoint:
        storage = open_storage(bucket.settings(settings, s3_endpoint=endpoint))
        asked: list[Callable[[], object]] = [
            lambda: storage.fetch_all([KEY], tmp_path),
            lambda: storage.fetch(KEY).__enter__(),
        ]
        for question in asked:
            with pytest.raises(StorageError, match="interrupted") as told:
                question()
            assert not told.value.permanent
    assert not any(path.is_file() for path in storage.folder.rglob("*"))


class EnoughError(Exception):
    """What whoever waits for a transfer raises to end it."""


# boto3 leaves the connection of a download that is ended to the garbage.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_who_waits_for_a_transfer_hears_that_bytes_move_and_may_end_it(
    storage: Storage, bucket: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 5 * 2**20)  # so that there are parts to leave behind
    heard: list[int] = []

    def end() -> None:
        heard.append(1)
        raise EnoughError

    def publish(on_progress: Callable[[], None]) -> str:
        with storage.workspace(uuid.uuid4().hex) as workspace:
            out = workspace / "out"
            out.mkdir()
            (out / "film.mp4").write_bytes(b"x" * 20 * 2**20)
            return storage.publish(out, job_id=JOB, owner="1", token="t", on_progress=on_progress)[
                "film.mp4"
            ].key

    key = publish(lambda: heard.append(1))
    assert heard
    brought = tmp_path / "brought"
    brought.mkdir()
    storage.fetch_all([key], brought, on_progress=lambda: heard.append(1))
    asked: list[Callable[[], object]] = [
        lambda: storage.fetch(key, on_progress=end).__enter__(),
        lambda: storage.fetch_all([key], tmp_path, on_progress=end),
        lambda: publish(end),
    ]
    for question in asked:
        heard.clear()
        with pytest.raises(EnoughError):
            question()
        assert len(heard) == 1
    gc.collect()
    assert not any(path.is_file() for path in storage.folder.rglob("*"))
    assert not any(path.is_file() for path in tmp_path.glob("*.mp4"))
    assert bucket.keys() == []
    assert bucket.pending_uploads() == []


def test_a_job_is_deleted_when_its_bucket_is_back(
    in_bucket: Bench, bucket: Place, photo: Path
) -> None:
    database = in_bucket.worker.database
    job_id = in_bucket.submit(photo)
    wrong = bucket.settings(in_bucket.worker.settings, s3_access_key_id="WRONG")

    assert not delete_job(job_id, database=database, storage=open_storage(wrong))

    with database.read() as session:
        line = session.scalars(select(AuditRow)).one()
    assert line.verified_at is None
    assert "remaining files can't be counted" in (line.last_error or "")
    assert bucket.keys() == [f"jobs/{job_id}/uploads/0"]
    assert sweep_files(database, in_bucket.worker.storage, orphan_seconds=0) == 1
    assert bucket.keys() == []


def test_rows_and_bucket_are_compared_both_ways(
    database: Database, storage: Storage, bucket: Place, reconciler: Reconciler
) -> None:
    job = stored_job(database)
    kept = published(storage, job.id, "kept")
    finish_segment(
        database,
        claimed(database, job.segments[0]),
        results(artifacts=[replace(artifact("0-a.mp4"), storage_key=kept)]),
    )
    published(storage, job.id, "lost")
    published(storage, str(uuid.uuid4()), "stranger")
    assert reconciler.run_round() == ReconcileReport(), "what is young may be about to get its row"

    assert sweep_files(database, storage, orphan_seconds=0) == 2
    assert bucket.keys() == [kept]

    client = bucket.server.client
    client.delete_object(Bucket=BUCKET, Key=f"{bucket.prefix}/{kept}")
    assert reconciler.run_round() == ReconcileReport(files_missing=1)
    assert [one.missing for one in list_artifacts(database, job.id).artifacts] == [True]
    client.put_object(Bucket=BUCKET, Key=f"{bucket.prefix}/{kept}", Body=b"x")
    assert reconciler.run_round() == ReconcileReport(files_back=1)
    assert not any(row.missing for row in artifacts_after(database, 0, limit=9))


def test_marks_of_workers_that_are_gone_are_removed(
    database: Database, bucket: Place, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored_job(database)
    living, gone = claimed(database, job.segments[0]).token, uuid.uuid4().hex
    for token in (living, gone):
        client = bucket.server.client
        client.put_object(Bucket=BUCKET, Key=f"{bucket.prefix}/work/{token}", Body=b"")
    assert reconciler.run_round() == ReconcileReport()
    monkeypatch.setattr(reconcile, "WORKSPACE_LEASES", 0)
    assert reconciler.run_round() == ReconcileReport(workspaces_left=1)
    assert bucket.keys() == [f"work/{living}"]


def published(storage: Storage, job_id: str, token: str) -> str:
    with storage.workspace(token) as workspace:
        (workspace / "out").mkdir()
        (workspace / "out" / "f").write_text("x")
        return storage.publish(workspace / "out", job_id=job_id, owner="1", token=token)["f"].key


# Uploads a file in three parts, and kills itself or fails at the second, as asked.
UPLOAD = """
import os, signal, sys
from pathlib import Path
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage, s3

s3.PART_BYTES = 5 * 2**20
settings = Settings.from_environment(os.environ)
storage = open_storage(settings)
parts = []

def interfere(**_):
    parts.append(1)
    if len(parts) == 2 and sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if len(parts) >= 2 and sys.argv[1] == "fail":
        raise OSError(5, "Input/output error")

storage._bucket._client().meta.events.register("before-send.s3.UploadPart", interfere)
job = sys.argv[2]
with storage.receive() as incoming, storage.workspace(job.replace("-", "")) as workspace:
    file = incoming.add("film.mp4", [b"x" * 2**20] * 11)
    if sys.argv[3] == "upload":
        storage.store_uploads([(file, storage.upload_key(job, 0))])
    else:
        (workspace / "out").mkdir()
        (workspace / "out" / "a.txt").write_text("small")
        file.path.rename(workspace / "out" / "film.mp4")
        storage.publish(workspace / "out", job_id=job, owner="1", token="t")
"""


@pytest.fixture
def uploading(settings: Settings, bucket: Place) -> Callable[..., int]:
    here = bucket.settings(settings)
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FACES_JOBS_DATA_FOLDER": str(here.data_folder),
        "FACES_JOBS_MIN_FREE_BYTES": "0",
        **storage_variables(here),
    }

    def run(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", UPLOAD, *arguments], env=environment, check=False
        ).returncode

    return run


@pytest.mark.parametrize("what", ["upload", "publish"])
def test_a_kill_in_mid_upload_shows_nothing_and_is_swept(
    storage: Storage, bucket: Place, uploading: Callable[..., int], what: str
) -> None:
    assert uploading("kill", JOB, what) == -signal.SIGKILL

    token = JOB.replace("-", "")
    shown = bucket.keys()
    assert not any(key.endswith(("uploads/0", "film.mp4")) for key in shown)
    assert len(bucket.pending_uploads()) == 1
    assert storage.files_left(JOB) >= 1, "half-made files are files that are left"
    assert token in dict(storage.workspaces())
    here = [path for path in storage.folder.rglob("*") if path.is_file()]
    assert here

    # The server says of every upload that it began in 2010.
    assert storage.sweep(older_than_seconds=3600) >= 1
    assert bucket.pending_uploads() == []
    for folder in (storage.folder / "incoming", storage.folder / "work"):
        for path in folder.iterdir():
            os.utime(path, (0, 0))
    with storage.receive(), storage.workspace(uuid.uuid4().hex):
        pass  # what the next one does who comes to this machine
    assert not any(path.is_file() for path in storage.folder.rglob("*"))
    assert list(storage.workspaces()) == []
    storage.delete_job(JOB)
    assert bucket.keys() == []


@pytest.mark.parametrize("what", ["upload", "publish"])
def test_an_upload_that_fails_leaves_nothing_at_all(
    storage: Storage, bucket: Place, uploading: Callable[..., int], what: str
) -> None:
    assert uploading("fail", JOB, what) == 1
    assert bucket.keys() == []
    assert bucket.pending_uploads() == []
    assert not any(path.is_file() for path in storage.folder.rglob("*"))


def test_deleting_a_job_stops_what_is_uploaded_for_it(
    storage: Storage, bucket: Place, uploading: Callable[..., int]
) -> None:
    assert uploading("kill", JOB, "upload") == -signal.SIGKILL
    assert len(bucket.pending_uploads()) == 1
    assert storage.delete_job(JOB).error is None
    assert storage.files_left(JOB) == 0
    assert bucket.pending_uploads() == []


def test_images_taken_together_wait_for_a_bucket_too(
    in_bucket: Bench, bucket: Place, photo: Path
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
