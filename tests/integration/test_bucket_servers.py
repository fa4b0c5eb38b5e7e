"""Servers that are wrong, old, busy or full, and settings that do not fit a bucket."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from faces_jobs.db.session import Database
from faces_jobs.errors import FacesJobsError, StorageError, StorageFullError, StorageRefusedError
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.readiness import Readiness
from faces_jobs.settings import Settings
from faces_jobs.storage import open_storage, s3
from tests.buckets import (
    BucketPrefix,
    DroppedDownload,
    NoS3Server,
    OldS3Server,
    RefusingServer,
    wrong_server,
)

JOB = str(uuid.UUID(int=1))
KEY = f"jobs/{JOB}/uploads/0"

WRONG_SETTINGS: dict[str, tuple[dict[str, Any], type[StorageError], str]] = {
    "secret": (
        {"s3_secret_access_key": SecretStr("wrong")},
        StorageRefusedError,
        "check FACES_JOBS_S3_ACCESS_KEY_ID",
    ),
    "key": ({"s3_access_key_id": "AKIAWRONG"}, StorageRefusedError, "check FACES_JOBS_S3_ACCESS"),
    "bucket": ({"storage": "s3://no-such-bucket/x"}, StorageRefusedError, "create it, or correct"),
    "server": ({"s3_endpoint": "http://127.0.0.1:1"}, StorageError, "does not answer"),
}

REFUSALS: dict[str, tuple[int, type[FacesJobsError]]] = {
    "SlowDown": (503, StorageError),
    "OperationAborted": (409, StorageError),
    "TooManyRequests": (429, StorageError),
    "XMinioStorageFull": (507, StorageFullError),
    "QuotaExceeded": (403, StorageFullError),
    "AccessDenied": (403, StorageRefusedError),
}


@pytest.fixture
def database_url(sqlite_database_url: str) -> str:
    """The URL of one kind of database, which is enough: none knows about buckets."""
    return sqlite_database_url


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_every_operation_reports_a_wrong_setting(
    settings: Settings, bucket: BucketPrefix, wrong: str, tmp_path: Path
) -> None:
    values, kind, message = WRONG_SETTINGS[wrong]
    storage = open_storage(bucket.settings(settings, **values))
    operations: list[Callable[[], object]] = [
        storage.check_writable,
        lambda: storage.open_file(KEY),
        lambda: storage.existing([KEY]),
        lambda: storage.fetch_all([KEY], tmp_path),
        lambda: storage.fetch(KEY).__enter__(),
        lambda: storage.workspace("t").__enter__(),
    ]
    # Operations on a server that does not answer are retried, so try only two of them.
    for operation in operations if wrong != "server" else operations[:2]:
        with pytest.raises(kind, match=message) as raised:
            operation()
        assert raised.value.permanent == (kind is StorageRefusedError)
    removed = storage.delete_job(JOB)
    assert removed.files == 0
    assert removed.error is not None


def test_a_server_that_is_no_bucket_is_reported(settings: Settings, bucket: BucketPrefix) -> None:
    """Such as a web server, which knows none of the paths and answers each with a 404."""
    with wrong_server(NoS3Server) as endpoint:
        storage = open_storage(bucket.settings(settings, s3_endpoint=endpoint))
        operations: list[Callable[[], object]] = [
            storage.check_writable,
            lambda: storage.open_file(KEY),
        ]
        for operation in operations:
            with pytest.raises(StorageRefusedError, match="correct FACES_JOBS_S3_ENDPOINT"):
                operation()


def test_a_server_that_demands_an_old_checksum_for_deletions_is_usable(
    settings: Settings, bucket: BucketPrefix
) -> None:
    with wrong_server(OldS3Server) as endpoint:
        open_storage(bucket.settings(settings, s3_endpoint=endpoint)).check_writable()


def test_a_server_s_refusal_says_whether_it_is_busy_full_or_misused(
    settings: Settings, bucket: BucketPrefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(s3.CONFIG, "retries", {"total_max_attempts": 1})
    with wrong_server(RefusingServer) as endpoint:
        storage = open_storage(bucket.settings(settings, s3_endpoint=endpoint))
        for code, (status, kind) in REFUSALS.items():
            monkeypatch.setattr(RefusingServer, "status", status)
            monkeypatch.setattr(RefusingServer, "code", code)
            with pytest.raises(FacesJobsError, match=code) as raised:
                storage.check_writable()
            assert type(raised.value) is kind, code


@pytest.mark.parametrize("wrong", ["secret", "bucket"])
def test_readiness_reports_a_wrong_setting(
    settings: Settings, bucket: BucketPrefix, database: Database, queue: CeleryQueue, wrong: str
) -> None:
    def missing(**values: Any) -> str | None:
        bucket_settings = bucket.settings(settings, **values)
        readiness = Readiness(
            settings=bucket_settings,
            database=database,
            storage=open_storage(bucket_settings),
            queue=queue,
            timeout_seconds=60,
        )
        return readiness.check().missing.get("storage")

    assert missing() is None
    assert bucket.keys() == [], "the probe is removed"
    values, _, message = WRONG_SETTINGS[wrong]
    assert message in (missing(**values) or "")


def test_a_download_that_is_cut_off_repeatedly_is_a_temporary_error(
    settings: Settings, bucket: BucketPrefix, tmp_path: Path
) -> None:
    with wrong_server(DroppedDownload) as endpoint:
        storage = open_storage(bucket.settings(settings, s3_endpoint=endpoint))
        operations: list[Callable[[], object]] = [
            lambda: storage.fetch_all([KEY], tmp_path),
            lambda: storage.fetch(KEY).__enter__(),
        ]
        for operation in operations:
            with pytest.raises(StorageError, match="interrupted") as raised:
                operation()
            assert not raised.value.permanent
    assert not any(path.is_file() for path in storage.folder.rglob("*"))
