"""The archive of a job whose files are in a bucket, on each database."""

from __future__ import annotations

import io
import uuid
import zipfile
from dataclasses import replace

import pytest

from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError
from faces_jobs.results import archive
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from tests.buckets import BucketPrefix
from tests.factories import StoredJob, artifact, new_claim, results, stored_job

NAMES = [f"{number}-佐藤.annotated.jpg" for number in range(5)]


@pytest.fixture
def storage(settings: Settings, bucket: BucketPrefix) -> Storage:
    return open_storage(bucket.settings(settings))


@pytest.fixture
def job(database: Database, storage: Storage) -> StoredJob:
    """A job of one item with several files, each with its own name as content."""
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    with storage.workspace(uuid.uuid4().hex) as workspace:
        (workspace / "out").mkdir()
        for name in NAMES:
            (workspace / "out" / name).write_text(name, encoding="utf-8")
        stored = storage.publish(workspace / "out", job_id=job.id, owner="1", token=claim.token)
    rows = [
        replace(artifact(name), bytes=stored[name].bytes, storage_key=stored[name].key)
        for name in NAMES
    ]
    finish_segment(database, claim, results(artifacts=rows))
    return job


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "PAGE_ROWS", 2)
    monkeypatch.setattr(archive, "CHUNK_BYTES", 8)


def test_an_archive_has_the_files_of_a_bucket(
    database: Database, storage: Storage, job: StoredJob
) -> None:
    plan = archive.plan_archive(database, job.id)
    whole = b"".join(archive.archive_chunks(database, storage, plan))
    assert len(whole) == plan.bytes
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        assert {name: found.read(name).decode() for name in found.namelist()} == {
            name: name for name in NAMES
        }


def test_an_archive_breaks_off_where_a_bucket_has_lost_a_file(
    database: Database, storage: Storage, job: StoredJob
) -> None:
    plan = archive.plan_archive(database, job.id)
    chunks = archive.archive_chunks(database, storage, plan)
    next(chunks)
    storage.delete_job(job.id)
    with pytest.raises(NotFoundError):
        list(chunks)
