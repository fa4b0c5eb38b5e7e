"""Uploads to a bucket that are killed, fail, or belong to a job that is deleted meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable

import pytest

from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from tests.buckets import BucketPrefix
from tests.integration.processes import storage_variables

JOB = str(uuid.UUID(int=1))

# Uploads a file in three parts, and kills its own process or fails at the second.
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
def storage(settings: Settings, bucket: BucketPrefix) -> Storage:
    return open_storage(bucket.settings(settings))


@pytest.fixture
def uploading(settings: Settings, bucket: BucketPrefix) -> Callable[..., int]:
    """Run the upload in a process of its own; returns its exit status."""
    bucket_settings = bucket.settings(settings)
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "FACES_JOBS_DATA_FOLDER": str(bucket_settings.data_folder),
        "FACES_JOBS_MIN_FREE_BYTES": "0",
        **storage_variables(bucket_settings),
    }

    def run(*arguments: str) -> int:
        return subprocess.run(
            [sys.executable, "-c", UPLOAD, *arguments], env=environment, check=False
        ).returncode

    return run


@pytest.mark.parametrize("what", ["upload", "publish"])
def test_an_upload_that_is_killed_stays_invisible_and_is_swept(
    storage: Storage, bucket: BucketPrefix, uploading: Callable[..., int], what: str
) -> None:
    assert uploading("kill", JOB, what) == -signal.SIGKILL

    token = JOB.replace("-", "")
    visible = bucket.keys()
    assert not any(key.endswith(("uploads/0", "film.mp4")) for key in visible)
    assert len(bucket.pending_uploads()) == 1
    assert storage.files_left(JOB) >= 1, "unfinished uploads count as files"
    assert token in dict(storage.workspaces())
    assert any(path.is_file() for path in storage.folder.rglob("*"))

    # This server reports 2010 as the start of every upload.
    assert storage.sweep(older_than_seconds=3600) >= 1
    assert bucket.pending_uploads() == []
    for folder in (storage.folder / "incoming", storage.folder / "work"):
        for path in folder.iterdir():
            os.utime(path, (0, 0))
    with storage.receive(), storage.workspace(uuid.uuid4().hex):
        pass  # the next process on this machine removes what is old
    assert not any(path.is_file() for path in storage.folder.rglob("*"))
    assert list(storage.workspaces()) == []
    storage.delete_job(JOB)
    assert bucket.keys() == []


@pytest.mark.parametrize("what", ["upload", "publish"])
def test_an_upload_that_fails_leaves_nothing(
    storage: Storage, bucket: BucketPrefix, uploading: Callable[..., int], what: str
) -> None:
    assert uploading("fail", JOB, what) == 1
    assert bucket.keys() == []
    assert bucket.pending_uploads() == []
    assert not any(path.is_file() for path in storage.folder.rglob("*"))


def test_deleting_a_job_aborts_its_unfinished_uploads(
    storage: Storage, bucket: BucketPrefix, uploading: Callable[..., int]
) -> None:
    assert uploading("kill", JOB, "upload") == -signal.SIGKILL
    assert len(bucket.pending_uploads()) == 1
    assert storage.delete_job(JOB).error is None
    assert storage.files_left(JOB) == 0
    assert bucket.pending_uploads() == []
