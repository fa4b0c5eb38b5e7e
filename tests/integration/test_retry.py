"""Retrying a job: failed items run again, successful ones stay, and exports are written again."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from faces_jobs import results as results_api
from faces_jobs.db.claims.leases import claim_job, renew_segment
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import fail_segment, finish_segment
from faces_jobs.db.segments.poison import fail_poisoned_jobs
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ItemRow, SegmentRow
from faces_jobs.errors import LeaseLostError, NotFoundError, StateError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import JobStatus
from faces_jobs.queue.producer import CeleryQueue
from faces_jobs.results import cancel_job, get_job, list_artifacts, list_items, retry_job
from faces_jobs.worker.next_work import take_next_work
from tests.factories import StoredJob, artifact, face, new_claim, results, stored_job, track
from tests.integration.harness import Harness
from tests.integration.stored_states import states

BROKEN = ErrorDocument(code="poison", message="Given up.")


def finish(database: Database, job: StoredJob) -> JobStatus:
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    return finish_job(database, claim, [artifact("faces.csv", kind="faces_csv")])


def segments(database: Database, job: StoredJob) -> list[int]:
    with database.read() as session:
        return list(
            session.scalars(
                select(SegmentRow.id)
                .where(SegmentRow.job_id == job.id)
                .order_by(SegmentRow.item_id)
            )
        )


def half_failed(database: Database) -> StoredJob:
    """A finished job with one item that succeeded, one that failed, and one that was refused."""
    job = stored_job(database, ["good.mp4", "bad.mp4", "none.txt"], refused=["none.txt"])
    good, bad = (new_claim(database, segment) for segment in job.segments)
    finish_segment(
        database, good, results([face(0)], [track()], artifacts=[artifact("0-good.mp4")])
    )
    fail_segment(database, bad, BROKEN, gave_up=True)
    assert finish(database, job) is JobStatus.SUCCEEDED_WITH_ERRORS
    return job


def test_a_cancelled_retry_of_a_truncated_file_leaves_nothing_of_it(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database)
    error = ErrorDocument(code="truncated", message="It ends too early.")
    claim = new_claim(database, job.segments[0])
    finish_segment(
        database, claim, results([face()], [track()], artifacts=[artifact()], error=error)
    )
    finish(database, job)
    retry_job(database, queue, job.id)

    cancel_job(database, job.id)

    item = list_items(database, job.id).items[0]
    assert (item.status, item.face_count) == ("cancelled", 0)
    files = list_artifacts(database, job.id).artifacts
    assert [file.kind for file in files] == ["faces_csv"]  # of the job's first end


def test_only_failed_items_run_again(database: Database, queue: CeleryQueue) -> None:
    job = half_failed(database)
    kept = list_items(database, job.id).items[0]
    assert get_job(database, job.id).can_retry

    document = retry_job(database, queue, job.id)

    assert document.status is JobStatus.QUEUED
    assert (document.error, document.ended_at, document.started_at) == (None, None, None)
    assert queue.depth() == 1, "workers are notified immediately"
    items = list_items(database, job.id).items
    assert [item.status for item in items] == ["succeeded", "queued", "failed"]
    assert (items[1].error, items[1].evidence) == (None, None)
    with database.read() as session:
        row = session.get_one(ItemRow, items[1].id)
    assert (row.started_at, row.ended_at) == (None, None)
    assert items[0] == kept
    again = segments(database, job)
    assert again[0] == job.segments[0]
    assert again[1] != job.segments[1]

    claim = new_claim(database, again[1])
    assert claim.attempt == 1
    finish_segment(
        database, claim, results([face(5)], [track()], artifacts=[artifact("1-bad.mp4")])
    )
    assert finish(database, job) is JobStatus.SUCCEEDED_WITH_ERRORS, "a refused file stays failed"
    faces = results_api.list_faces(database, FaceQuery(job_id=job.id)).faces
    assert [found.frame_index for found in faces] == [0, 5]
    names = [one.name for one in results_api.list_artifacts(database, job.id).artifacts]
    assert sorted(names) == ["0-good.mp4", "1-bad.mp4", "faces.csv"]


def test_a_retry_s_rate_and_time_left_do_not_count_the_items_that_were_kept(
    database: Database, queue: CeleryQueue
) -> None:
    job = half_failed(database)
    retry_job(database, queue, job.id)
    claim = new_claim(database, segments(database, job)[1])

    progress = get_job(database, job.id).progress
    assert progress.frames_done == 1
    assert (progress.frames_per_second, progress.eta_seconds) == (None, None)

    renew_segment(database, claim, lease_seconds=60, frames_done=9, frames_total=99)
    assert get_job(database, job.id).progress.frames_per_second is not None


def test_a_cancelled_job_continues_with_its_unfinished_items(
    database: Database, queue: CeleryQueue
) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4", "c.png"])
    finish_segment(database, new_claim(database, job.segments[0]), results([face()]))
    stale = new_claim(database, job.segments[1])
    assert cancel_job(database, job.id).can_retry

    assert not retry_job(database, queue, job.id).can_retry

    assert states(database, job)[:2] == ("queued", ["succeeded", "queued", "queued"])
    with pytest.raises(LeaseLostError):
        renew_segment(database, stale, lease_seconds=60, frames_done=1, frames_total=None)
    for segment in segments(database, job)[1:]:
        finish_segment(database, new_claim(database, segment), results())
    assert finish(database, job) is JobStatus.SUCCEEDED


def test_exports_alone_can_be_retried(database: Database, queue: CeleryQueue) -> None:
    job = stored_job(database, spec=JobSpec(keep_days=1))
    finish_segment(database, new_claim(database, job.segments[0]), results())
    assert claim_job(database, job.id, worker="w", lease_seconds=-1, max_attempts=1) is not None
    assert fail_poisoned_jobs(database, max_attempts=1, limit=1, is_dead=lambda *_: True) == 1
    given_up = get_job(database, job.id)
    assert given_up.can_retry
    assert given_up.progress.frames_per_second is not None
    assert None not in (given_up.error, given_up.evidence, given_up.delete_at)

    retried = retry_job(database, queue, job.id)
    assert retried.status is JobStatus.FINISHING
    assert retried.progress.frames_per_second is not None
    assert (retried.error, retried.evidence, retried.delete_at) == (None, None, None)

    assert cancel_job(database, job.id).can_retry
    assert retry_job(database, queue, job.id).status is JobStatus.FINISHING
    assert finish(database, job) is JobStatus.SUCCEEDED


def test_the_reason_why_a_job_cannot_be_retried_is_reported(
    database: Database, queue: CeleryQueue
) -> None:
    running = stored_job(database)
    with pytest.raises(StateError, match="has not ended"):
        retry_job(database, queue, running.id)
    finish_segment(database, new_claim(database, running.segments[0]), results())
    finish(database, running)
    with pytest.raises(StateError, match="every file succeeded"):
        retry_job(database, queue, running.id)
    refused = stored_job(database, ["a.mp4", "b.txt"], refused=["b.txt"])
    finish_segment(database, new_claim(database, refused.segments[0]), results())
    finish(database, refused)
    with pytest.raises(StateError, match="refused when they were submitted"):
        retry_job(database, queue, refused.id)
    assert not any(get_job(database, job.id).can_retry for job in (running, refused))
    with pytest.raises(NotFoundError):
        retry_job(database, queue, "no-such-job")


def test_a_file_that_failed_can_succeed_in_a_retry(
    harness: Harness, photo: Path, clip: Path
) -> None:
    job_id = harness.submit(photo, clip)
    database = harness.worker.database

    def fail(batch: int) -> None:
        if batch > 1:
            raise ZeroDivisionError

    harness.networks.before_batch = fail
    for _ in range(1 + harness.worker.settings.max_attempts):
        take_next_work(harness.worker)
    assert get_job(database, job_id).status is JobStatus.SUCCEEDED_WITH_ERRORS
    before = {one.name: one.sha256 for one in harness.artifacts(job_id)}

    harness.networks.before_batch = lambda _batch: None
    retry_job(database, harness.worker.queue, job_id)
    take_next_work(harness.worker)

    assert get_job(database, job_id).status is JobStatus.SUCCEEDED
    after = {one.name: one.sha256 for one in harness.artifacts(job_id)}
    assert before.keys() < after.keys()
    same = {name for name in before if before[name] == after[name]}
    assert {"0-photo.annotated.png"} <= same
    assert "faces.csv" not in same, "the exports are written again"
