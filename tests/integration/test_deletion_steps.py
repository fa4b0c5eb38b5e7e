"""A deletion hides the job at once, and removes its rows in short transactions."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from faces_jobs.db.audit import record_step
from faces_jobs.db.jobs import deletion
from faces_jobs.db.jobs.deletion import rows_left
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.results import (
    cancel_job,
    get_item,
    get_job,
    list_artifacts,
    list_faces,
    list_items,
    list_jobs,
    open_artifact,
    pause_job,
    retry_job,
)
from faces_jobs.retention import complete_deletions, delete_job
from faces_jobs.storage import LocalStorage
from tests.factories import face, new_claim, results, stored_job, track
from tests.integration.deletions import (
    dying_in_step,
    limit_steps,
    make_due,
    only_entry,
    stored_files,
)
from tests.integration.harness import Harness


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of rows that the steps of deletions removed; each may remove three."""
    removed: list[int] = []

    def recorded(session: Session, audit_id: int, *, rows: int, is_last: bool = False) -> None:
        removed.append(rows)
        record_step(session, audit_id, rows=rows, is_last=is_last)

    limit_steps(monkeypatch, rows=3)
    monkeypatch.setattr(deletion, "record_step", recorded)
    return removed


@pytest.mark.parametrize("photos", [1, 7])
def test_many_rows_are_deleted_in_short_transactions(
    database: Database, storage: LocalStorage, photos: int, steps: list[int]
) -> None:
    job = stored_job(database, [f"{number}.png" for number in range(photos)])
    for segment in job.segments:
        finish_segment(database, new_claim(database, segment), results([face(0), face(1)]))

    assert delete_job(job.id, database=database, storage=storage)

    assert rows_left(database, job.id) == 0
    assert max(steps) <= 3
    assert sum(steps) == only_entry(database).rows


def test_a_job_is_hidden_while_its_rows_are_being_deleted(harness: Harness, clip: Path) -> None:
    database, storage = harness.worker.database, harness.worker.storage
    other = stored_job(database)
    finish_segment(database, new_claim(database, other.segments[0]), results([face()], [track()]))
    job_id = harness.submit(clip)
    harness.work(job_id)
    item, artifact = list_items(database, job_id).items[0], list_artifacts(database, job_id)
    rows = rows_left(database, job_id)

    assert not delete_job(job_id, database=database, storage=storage, patience_seconds=0)

    assert rows_left(database, job_id) == rows
    assert [job.id for job in list_jobs(database).jobs] == [other.id]
    for query in (
        FaceQuery(job_id=None),
        FaceQuery(job_id=None, item_id=item.id),
        FaceQuery(job_id=None, min_score=0.1),
        FaceQuery(job_id=None, attributes={"gender": AttributeFilter(labels=("male", "female"))}),
    ):
        assert {one.job_id for one in list_faces(database, query).faces} <= {other.id}
    for look in (
        lambda: get_job(database, job_id),
        lambda: list_faces(database, FaceQuery(job_id=job_id)),
        lambda: get_item(database, job_id, item.id),
        lambda: open_artifact(database, storage, job_id, artifact.artifacts[0].id),
        lambda: cancel_job(database, job_id),
        lambda: pause_job(database, job_id),
        lambda: retry_job(database, harness.worker.queue, job_id),
        lambda: delete_job(job_id, database=database, storage=storage),
    ):
        with pytest.raises(NotFoundError):
            look()
    assert only_entry(database).verified_at is None

    assert complete_deletions(database, storage) == 0

    assert only_entry(database).verified_at is not None
    assert rows_left(database, job_id) == 0
    assert stored_files(harness) == []


def test_a_deletion_whose_process_died_is_completed_by_the_sweep(
    database: Database,
    storage: LocalStorage,
    steps: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = stored_job(database)
    finish_segment(
        database, new_claim(database, job.segments[0]), results([face(n) for n in range(9)])
    )

    with dying_in_step(monkeypatch, 4):
        delete_job(job.id, database=database, storage=storage)
    assert len(steps) == 3
    assert rows_left(database, job.id) > 0
    assert complete_deletions(database, storage) == 0, "its process may still be at work"
    assert rows_left(database, job.id) > 0
    make_due(database)

    assert complete_deletions(database, storage) == 0

    assert rows_left(database, job.id) == 0
    entry = only_entry(database)
    assert entry.verified_at is not None
    assert entry.rows == sum(steps), "no row is counted twice"
