"""Limits of the queue, in total and per owner: what exceeds them is refused, even in a race."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from faces_jobs.db.jobs.limits import check_queue
from faces_jobs.db.session import Database
from faces_jobs.db.tables import IdempotencyRow, JobRow
from faces_jobs.errors import QueueFullError, StorageFullError
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import cancel_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.submit import Submitted, submit_files
from tests.factories import stored_job
from tests.integration.races import run_concurrently


def limited(settings: Settings, **limits: int) -> Settings:
    return settings.model_copy(update=limits)


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        ({"max_queued_jobs": 3}, False),
        ({"max_queued_jobs": 2}, True),
        ({"max_queued_items": 4}, False),
        ({"max_queued_items": 3}, True),
        ({"max_queued_bytes": 299}, True),
        ({"max_queued_bytes": 300}, False),  # checked before the body, of which nothing is known
        ({"max_owner_jobs": 1}, True),
        ({"max_owner_jobs": 2}, False),
        ({"max_owner_items": 1}, True),
        ({"max_owner_bytes": 99}, True),
        ({"max_queued_jobs": 0, "max_queued_items": 0}, False),
    ],
)
def test_jobs_beyond_a_limit_are_refused(
    database: Database, settings: Settings, limits: dict[str, int], refused: bool
) -> None:
    stored_job(database, ["a.mp4"], owner="alice")
    stored_job(database, ["a.mp4", "b.mp4"], owner="bob")
    limited_settings = limited(settings, **limits)
    if not refused:
        check_queue(database, limited_settings, "alice")
        return
    with pytest.raises(QueueFullError, match="send it again later"):
        check_queue(database, limited_settings, "alice")


def test_other_owners_and_ended_jobs_do_not_count(database: Database, settings: Settings) -> None:
    limited_settings = limited(settings, max_owner_jobs=1, max_queued_jobs=2)
    job = stored_job(database, owner="alice")
    check_queue(database, limited_settings, "bob")
    with pytest.raises(QueueFullError):
        check_queue(database, limited_settings, "alice")
    cancel_job(database, job.id)
    check_queue(database, limited_settings, "alice")


def submit(
    database: Database,
    storage: LocalStorage,
    queue: CeleryQueue,
    settings: Settings,
    photo: Path,
    *,
    key: str,
) -> Submitted:
    with storage.receive() as incoming:
        return submit_files(
            [incoming.add("photo.png", [photo.read_bytes()])],
            JobSpec(),
            database=database,
            storage=storage,
            queue=queue,
            settings=settings,
            idempotency_key=key,
        )


def test_concurrent_submissions_do_not_exceed_a_limit(
    database: Database, storage: LocalStorage, queue: CeleryQueue, settings: Settings, photo: Path
) -> None:
    limited_settings = limited(settings, max_queued_jobs=3)

    outcomes = run_concurrently(
        *(
            partial(submit, database, storage, queue, limited_settings, photo, key=f"key {number}")
            for number in range(8)
        )
    )

    accepted = [outcome for outcome in outcomes if isinstance(outcome, Submitted)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, QueueFullError)]
    assert (len(accepted), len(refused)) == (3, 5)
    with database.read() as session:
        assert len(session.scalars(select(JobRow.id)).all()) == 3
        assert len(session.scalars(select(IdempotencyRow.key)).all()) == 3
    uploads = [path for path in storage.folder.rglob("*") if path.is_file()]
    assert len(uploads) == 3, "refused submissions leave no file"
    again = submit(
        database, storage, queue, limited_settings, photo, key=_key_of(database, accepted[0])
    )
    assert again.replayed, "a repeated submission adds no work"


def test_a_lack_of_space_for_results_is_reported_before_a_job_is_made(
    database: Database, storage: LocalStorage, queue: CeleryQueue, settings: Settings, photo: Path
) -> None:
    import shutil  # noqa: PLC0415 (only limited_settings)

    free = shutil.disk_usage(storage.folder.parent.parent).free
    tight = LocalStorage(storage.folder, min_free_bytes=free + 2**40)
    with pytest.raises(StorageFullError):
        submit(database, tight, queue, settings, photo, key="key")
    with database.read() as session:
        assert session.scalars(select(JobRow.id)).all() == []


def _key_of(database: Database, submitted: Submitted) -> str:
    with database.read() as session:
        return session.scalars(
            select(IdempotencyRow.key).where(IdempotencyRow.job_id == submitted.job_id)
        ).one()
