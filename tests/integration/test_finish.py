"""Finishing a job: its exports are written from the rows and published together with its end."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import update

from faces_jobs.db.clock import now_seconds
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import (
    cancel_job,
    get_job,
    list_artifacts,
    open_artifact,
    resume_job,
)
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage, Storage, StoredFile
from faces_jobs.worker.finish import EXPORTS, finish_job
from faces_jobs.worker.maintenance.sweep import sweep
from faces_jobs.worker.resources import Worker
from faces_jobs_models.catalog import open_catalog
from tests.factories import StoredJob, face, new_claim, results, stored_job, track


@pytest.fixture
def worker(
    settings: Settings, database: Database, storage: LocalStorage, queue: CeleryQueue
) -> Iterator[Worker]:
    with open_catalog(device="cpu") as catalog:
        yield Worker(
            name="alice",
            settings=settings,
            database=database,
            storage=storage,
            queue=queue,
            networks=catalog,
        )


@pytest.fixture
def job(database: Database) -> StoredJob:
    """A job with two items that have just ended."""
    job = stored_job(database, ["a.mp4", '=HYPERLINK("x").mp4'])
    for segment in job.segments:
        finish_segment(
            database,
            new_claim(database, segment),
            results([face(n, gender=("female", 0.75)) for n in range(3)], [track(frames=3)]),
        )
    return job


def exports(database: Database, storage: Storage, job: StoredJob) -> dict[str, bytes]:
    """Return the content of every export, by name."""
    found = {}
    for document in list_artifacts(database, job.id).artifacts:
        opened = open_artifact(database, storage, job.id, document.id).stored
        with opened.file as file:
            content = file.read()
        assert len(content) == opened.bytes == document.bytes
        assert hashlib.sha256(content).hexdigest() == document.sha256
        found[document.name] = content
    return found


def test_exports_hold_every_face_and_track(worker: Worker, job: StoredJob) -> None:
    other = stored_job(worker.database)
    finish_segment(worker.database, new_claim(worker.database, other.segments[0]), results())
    finish_job(job.id, worker)
    finish_job(other.id, worker)

    assert get_job(worker.database, job.id).status == "succeeded"
    found = exports(worker.database, worker.storage, job)
    assert set(found) == set(EXPORTS)
    rows = list(csv.DictReader(found["faces.csv"].decode().splitlines()))
    assert len(rows) == 6
    assert rows[0]["gender"] == "female"
    assert float(rows[0]["gender_probability"]) == 0.75
    lines = [json.loads(line) for line in found["faces.jsonl"].decode().splitlines()]
    assert [line["frame_index"] for line in lines] == [0, 1, 2, 0, 1, 2]
    assert len(list(csv.DictReader(found["tracks.csv"].decode().splitlines()))) == 2
    assert pq.read_table(io.BytesIO(found["faces.parquet"])).num_rows == 6
    assert not list((worker.storage.folder / "work").iterdir())


def test_a_duplicate_message_changes_nothing(worker: Worker, job: StoredJob) -> None:
    finish_job(job.id, worker)
    before = exports(worker.database, worker.storage, job)
    assert before
    finish_job(job.id, worker)
    finish_job("no-such-job", worker)

    assert exports(worker.database, worker.storage, job) == before


def test_a_job_that_is_not_finishing_is_not_changed(worker: Worker, database: Database) -> None:
    job = stored_job(database)
    finish_job(job.id, worker)
    assert get_job(database, job.id).status == "queued"


@pytest.mark.parametrize("meanwhile", ["cancelled", "deleted", "taken over"])
def test_exports_that_are_no_longer_wanted_leave_no_file(
    worker: Worker, job: StoredJob, meanwhile: str
) -> None:
    database, storage = worker.database, worker.storage
    published: list[object] = []

    class Interfering(LocalStorage):
        def publish(self, *arguments: Any, **named: Any) -> dict[str, StoredFile]:
            stored = super().publish(*arguments, **named)
            published.append(stored)
            if meanwhile == "cancelled":
                cancel_job(database, job.id)
            elif meanwhile == "deleted":
                delete_job(job.id, database=database, storage=storage)
            else:
                with database.begin() as session:
                    session.execute(update(JobRow).values(lease_token="bob's"))
            return stored

    interfered = Worker(
        name="zombie",
        settings=worker.settings,
        database=database,
        storage=Interfering(storage.folder),
        queue=worker.queue,
        networks=worker.networks,
    )
    finish_job(job.id, interfered)

    assert len(published) == 1
    assert [path for path in storage.folder.rglob("*") if path.is_file()] == []


def test_a_job_waits_for_space_when_the_disk_is_full(worker: Worker, job: StoredJob) -> None:
    full = Worker(
        name="alice",
        settings=worker.settings,
        database=worker.database,
        storage=LocalStorage(worker.storage.folder, min_free_bytes=2**62),
        queue=worker.queue,
        networks=worker.networks,
    )
    finish_job(job.id, full)
    assert get_job(worker.database, job.id).status == "waiting_for_space"

    resume_job(worker.database, worker.queue, job.id)
    finish_job(job.id, worker)

    assert get_job(worker.database, job.id).status == "succeeded"


def test_a_worker_that_is_stopped_releases_the_job(worker: Worker, job: StoredJob) -> None:
    worker.stop_requested.set()
    finish_job(job.id, worker)

    assert get_job(worker.database, job.id).status == "finishing"
    assert worker.queue.depth() == 1, "other workers are notified immediately"
    assert [path for path in worker.storage.folder.rglob("*") if path.is_file()] == []
    worker.stop_requested.clear()
    finish_job(job.id, worker)
    assert get_job(worker.database, job.id).status == "succeeded"


def test_a_job_without_faces_has_exports_too(worker: Worker, database: Database) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    with database.begin() as session:
        session.execute(update(JobRow).values(last_rung_at=now_seconds()))

    finish_job(job.id, worker)

    assert set(exports(database, worker.storage, job)) == set(EXPORTS)


def test_an_unexpected_error_shows_users_no_path_of_the_server(
    worker: Worker, storage: LocalStorage, job: StoredJob
) -> None:
    worker = replace(worker, settings=worker.settings.model_copy(update={"max_attempts": 1}))
    folder = storage.folder
    folder.mkdir(parents=True)
    (folder / "work").write_bytes(b"not a folder")

    finish_job(job.id, worker)
    sweep(worker.database, worker.queue, worker.settings)

    document = get_job(worker.database, job.id)
    assert document.error is not None
    assert document.evidence is not None
    assert document.evidence.said is not None
    assert "NotADirectoryError" in document.evidence.said
    assert str(folder) not in document.model_dump_json()
