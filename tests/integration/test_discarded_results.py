"""The partial results of files that end without success: hidden at once, deleted in short steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from faces_jobs.db.jobs import discarding, row_steps
from faces_jobs.db.jobs.discarding import delete_discarded
from faces_jobs.db.results.rows import replace_tracks
from faces_jobs.db.segments.endings import fail_job, finish_segment
from faces_jobs.db.segments.parts import write_faces
from faces_jobs.db.session import Database
from faces_jobs.db.tables import FaceRow, SegmentRow
from faces_jobs.errors import StateError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.query import FaceQuery, TrackQuery
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue.messages import BrokerMessages
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import (
    cancel_job,
    get_job,
    list_faces,
    list_items,
    list_tracks,
    retry_job,
)
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.maintenance.reconcile import Reconciler
from tests.factories import StoredJob, face, new_claim, results, stored_job, track
from tests.integration.deletions import dying_in_step, limit_steps
from tests.integration.harness import Harness
from tests.integration.races import run_concurrently

FACES = 10
FILM = 1  # its position


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each step delete three rows at most."""
    limit_steps(monkeypatch, rows=3)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests not wait for the deletion of rows."""
    monkeypatch.setattr("faces_jobs.results.control.REQUEST_PATIENCE_SECONDS", 0.0)


@pytest.fixture
def statements_of_faces(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements on the table of faces, with their parameters."""
    executed: list[tuple[str, Any]] = []

    def record(_c: object, _k: object, statement: str, parameters: Any, *_rest: object) -> None:
        if "faces" in statement:
            executed.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", record)
    yield executed
    event.remove(database.engine, "before_cursor_execute", record)


def half_done(database: Database) -> StoredJob:
    """Store a job of a finished file, and of a film with faces and a track of its first part."""
    job = stored_job(database, ["done.mp4", "film.mp4"])
    finish_segment(database, new_claim(database, job.segments[0]), results([face()], [track()]))
    write_film(database, job)
    return job


def write_film(database: Database, job: StoredJob) -> None:
    """Claim the film's segment, and store faces and a track."""
    with database.read() as session:
        segment = session.scalars(
            select(SegmentRow.id).where(SegmentRow.item_id == job.items[FILM])
        ).one()
    claim = new_claim(database, segment)
    faces = [face(number) for number in range(FACES)]
    write_faces(database, claim, faces, start_frame=0, end_frame=FACES)
    with database.begin() as session:
        replace_tracks(session, job_id=job.id, item_id=claim.item_id, tracks=[track()])


def stored_faces(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(FaceRow)).one()


def shown_items(database: Database, job: StoredJob) -> set[int]:
    """Return the items of all faces and tracks that are listed, of the job and across all jobs."""
    queries = [FaceQuery(job_id=job.id), FaceQuery(None), FaceQuery(None, min_score=0.1)]
    return {
        *(one.item_id for query in queries for one in list_faces(database, query).faces),
        *(one.item_id for one in list_tracks(database, TrackQuery(job_id=job.id)).tracks),
    }


def test_a_cancel_discards_partial_results_in_short_transactions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = half_done(database)
    steps: list[int] = []

    def counted(_session: Session, rows: int) -> None:
        steps.append(rows)

    monkeypatch.setattr(discarding, "RowSteps", partial(row_steps.RowSteps, after=counted))

    cancel_job(database, job.id)

    assert max(steps) <= 3
    assert sum(steps) == FACES + 1
    assert stored_faces(database) == 1
    assert shown_items(database, job) == {job.items[0]}


@pytest.mark.usefixtures("no_patience")
def test_partial_results_are_hidden_until_the_reconciler_has_deleted_them(
    harness: Harness, queue: CeleryQueue
) -> None:
    worker = harness.worker
    database = worker.database
    job = half_done(database)

    assert cancel_job(database, job.id).status is JobStatus.CANCELLED

    assert stored_faces(database) == 1 + FACES
    assert shown_items(database, job) == {job.items[0]}
    assert [item.face_count for item in list_items(database, job.id).items] == [1, 0]
    with pytest.raises(StateError, match="still being deleted"):
        retry_job(database, queue, job.id)

    Reconciler(
        database=database,
        messages=BrokerMessages(queue.app),
        storage=worker.storage,
        settings=worker.settings,
    ).run_round()

    assert stored_faces(database) == 1
    assert retry_job(database, queue, job.id).status is JobStatus.QUEUED


def test_a_process_that_died_while_deleting_loses_no_step(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = half_done(database)
    with dying_in_step(monkeypatch, 3):
        cancel_job(database, job.id)
    assert stored_faces(database) == 1 + FACES - 6
    assert shown_items(database, job) == {job.items[0]}

    assert delete_discarded(database)

    assert stored_faces(database) == 1


@pytest.mark.usefixtures("no_patience")
def test_a_late_deletion_spares_the_results_of_a_retry(
    database: Database, queue: CeleryQueue
) -> None:
    job = half_done(database)
    cancel_job(database, job.id)
    steps: list[None] = []

    def overtaken() -> None:
        steps.append(None)
        if len(steps) == 2:  # meanwhile another process deletes, and the job is retried
            assert delete_discarded(database)
            retry_job(database, queue, job.id)
            write_film(database, job)

    assert delete_discarded(database, on_step=overtaken)

    assert stored_faces(database) == 1 + FACES
    assert shown_items(database, job) == set(job.items)


@pytest.mark.usefixtures("no_patience")
def test_concurrent_deletions_and_a_retry_never_deadlock(
    database: Database, queue: CeleryQueue
) -> None:
    job = half_done(database)
    cancel_job(database, job.id)

    outcomes = run_concurrently(
        partial(delete_discarded, database),
        partial(delete_discarded, database),
        partial(retry_job, database, queue, job.id),
    )

    errors = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert all(isinstance(error, StateError) for error in errors), errors
    assert stored_faces(database) == 1
    assert get_job(database, job.id).status is (JobStatus.CANCELLED if errors else JobStatus.QUEUED)


def test_each_step_reads_only_the_rows_that_it_deletes(
    database: Database, statements_of_faces: list[tuple[str, Any]]
) -> None:
    job = half_done(database)
    statements_of_faces.clear()

    cancel_job(database, job.id)

    deletions = [one for one in statements_of_faces if one[0].startswith("DELETE")]
    assert len(deletions) > 3
    if database.dialect == "postgresql":
        return  # its plans for so few rows say nothing
    with database.read() as session:
        for statement, parameters in deletions:
            rows = session.connection().exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters
            )
            (plan,) = (row.detail for row in rows)
            assert "(item_id,frame_index,face_index)>" in plan
            assert "(item_id,frame_index,face_index)<" in plan


def test_exports_lack_the_discarded_results_of_a_failed_file(harness: Harness) -> None:
    database = harness.worker.database
    job = stored_job(database, ["done.mp4", "film.mp4", "other.mp4"])
    finish_segment(database, new_claim(database, job.segments[0]), results([face()], [track()]))
    write_film(database, job)
    error = ErrorDocument(code="model", message="The gender model is missing.")
    assert fail_job(database, new_claim(database, job.segments[2]), error)
    assert stored_faces(database) == 1 + FACES

    finish_job(job.id, harness.worker)

    assert get_job(database, job.id).status is JobStatus.SUCCEEDED_WITH_ERRORS
    exports = {one.name: harness.path(one) for one in harness.artifacts(job.id)}
    assert len(exports["faces.jsonl"].read_text().splitlines()) == 1
    assert stored_faces(database) == 1
