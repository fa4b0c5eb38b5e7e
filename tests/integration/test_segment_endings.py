"""How segments end: which claims count, what is recorded, and what a cancel or deletion removes."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select, update

from faces_jobs import results as results_api
from faces_jobs.db.claims.leases import claim_job, claim_segment, renew_job, renew_segment
from faces_jobs.db.claims.release import release_job, release_segment
from faces_jobs.db.jobs.endings import finish_job
from faces_jobs.db.segments.endings import fail_job, fail_segment, finish_segment
from faces_jobs.db.segments.parts import write_faces
from faces_jobs.db.session import Database
from faces_jobs.db.tables import ArtifactRow, FaceRow, ItemRow, JobRow, SegmentRow, TrackRow
from faces_jobs.errors import CancelledError, LeaseLostError, NotFoundError, StateError
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.query import FaceQuery
from faces_jobs.jobs.status import ItemStatus, JobStatus
from faces_jobs.retention import delete_job
from faces_jobs.storage import LocalStorage
from tests.factories import StoredJob, artifact, face, new_claim, results, stored_job, track
from tests.integration.races import run_concurrently
from tests.integration.stored_states import expire, states

BROKEN = ErrorDocument(code="no-video", message="There is no picture in it.")


def test_finishing_records_all_results(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    faces = [face(0, gender=("female", 0.9), age="old"), face(1, gender="male")]

    last = finish_segment(
        database,
        claim,
        results(faces, [track(frames=2, gender="female")], artifacts=[artifact()], frames=2),
    )

    assert last
    assert states(database, job) == ("finishing", ["succeeded"], ["succeeded"])
    page = results_api.list_faces(database, FaceQuery(job_id=job.id))
    assert [found.attributes["gender"].label for found in page.faces] == ["female", "male"]
    assert page.faces[0].attributes["gender"].probability == 0.9
    assert "age" not in page.faces[1].attributes
    assert page.faces[0].box.top == 20.5
    item = results_api.list_items(database, job.id).items[0]
    assert (item.face_count, item.track_count, item.width, item.format) == (2, 1, 64, "mov")
    assert item.progress.fraction == 1.0
    assert [model.name for model in results_api.get_job(database, job.id).models] == ["gender"]


def test_finishing_twice_changes_nothing(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])
    finish_segment(database, claim, results([face()], [track()]))

    with pytest.raises(LeaseLostError):
        finish_segment(database, claim, results([face(), face(1)], [track()]))

    assert len(results_api.list_faces(database, FaceQuery(job_id=job.id)).faces) == 1


def test_a_zombie_changes_nothing(database: Database) -> None:
    job = stored_job(database)
    zombie = new_claim(database, job.segments[0], worker="alice")
    expire(database, job.segments[0])
    alive = new_claim(database, job.segments[0], worker="bob")
    finish_segment(database, alive, results([face(0)], [track()], artifacts=[artifact("bob.mp4")]))

    for act in (
        lambda: renew_segment(database, zombie, lease_seconds=9, frames_done=9, frames_total=9),
        lambda: finish_segment(database, zombie, results([face(7)], artifacts=[artifact("x")])),
        lambda: fail_segment(database, zombie, BROKEN),
        lambda: fail_job(database, zombie, BROKEN),
        lambda: release_segment(database, zombie, reason="", counts=True),
    ):
        with pytest.raises(LeaseLostError):
            act()

    assert states(database, job) == ("finishing", ["succeeded"], ["succeeded"])
    with database.read() as session:
        assert session.scalars(select(FaceRow.frame_index)).all() == [0]
        assert session.scalars(select(ArtifactRow.name)).all() == ["bob.mp4"]


def test_an_error_while_rows_are_written_leaves_no_rows(database: Database) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])

    def breaking() -> object:
        yield face(0)
        raise RuntimeError("the spool can't be read")

    with pytest.raises(RuntimeError):
        finish_segment(database, claim, results(breaking()))  # type: ignore[arg-type]  # breaks

    assert results_api.list_faces(database, FaceQuery()).faces == []
    assert states(database, job) == ("running", ["running"], ["running"])


def test_one_of_two_concurrent_last_finishers_moves_the_job(database: Database) -> None:
    for _ in range(5):
        job = stored_job(database, ["a.mp4", "b.mp4"])
        claims = [new_claim(database, segment) for segment in job.segments]

        outcomes = run_concurrently(
            *(
                partial(
                    finish_segment,
                    database,
                    claim,
                    results(
                        [face(number) for number in range(50)],
                        artifacts=[artifact(f"{claim.item_id}.mp4")],
                    ),
                )
                for claim in claims
            )
        )

        assert sorted(outcomes, key=str) == [False, True]
        assert states(database, job)[0] == "finishing"


def test_a_broken_file_fails_only_its_item(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    assert not fail_segment(database, new_claim(database, job.segments[0]), BROKEN)
    assert finish_segment(database, new_claim(database, job.segments[1]), results())

    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    assert finish_job(database, claim, []) is JobStatus.SUCCEEDED_WITH_ERRORS

    items = results_api.list_items(database, job.id).items
    assert [item.status for item in items] == [ItemStatus.FAILED, ItemStatus.SUCCEEDED]
    assert items[0].error == BROKEN


def test_a_truncated_file_fails_its_item_and_keeps_what_was_read(database: Database) -> None:
    job = stored_job(database)
    error = ErrorDocument(code="truncated", message="It ends too early.")

    finish_segment(
        database,
        new_claim(database, job.segments[0]),
        results([face()], [track()], artifacts=[artifact()], error=error),
    )

    item = results_api.list_items(database, job.id).items[0]
    assert (item.status, item.error, item.face_count) == (ItemStatus.FAILED, error, 1)
    assert len(results_api.list_artifacts(database, job.id).artifacts) == 1


def face_counts(database: Database, job: StoredJob) -> list[tuple[int, int]]:
    """Return each item's recorded number of faces, and how many of them are listed."""
    shown = results_api.list_faces(database, FaceQuery(job_id=job.id)).faces
    return [
        (item.face_count, sum(face.item_id == item.id for face in shown))
        for item in results_api.list_items(database, job.id).items
    ]


def test_a_missing_model_fails_the_whole_job_once(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4", "c.mp4"])
    finish_segment(database, new_claim(database, job.segments[0]), results([face(0)], [track()]))
    other = new_claim(database, job.segments[1])
    # One of its parts is linked already.
    write_faces(database, other, [face(0), face(1)], start_frame=0, end_frame=2)
    with database.begin() as session:
        item = update(ItemRow).where(ItemRow.id == job.items[1])
        session.execute(item.values(face_count=2, track_count=1))
    error = ErrorDocument(code="model", message="The gender model is missing.")

    assert fail_job(database, new_claim(database, job.segments[2]), error)

    assert states(database, job) == (
        "finishing",
        ["succeeded", "failed", "failed"],
        ["succeeded", "failed", "failed"],
    )
    assert results_api.get_job(database, job.id).error == error
    assert face_counts(database, job) == [(1, 1), (0, 0), (0, 0)]
    with pytest.raises(LeaseLostError):
        renew_segment(database, other, lease_seconds=9, frames_done=1, frames_total=None)


def test_a_released_segment_is_available_and_costs_no_attempt(database: Database) -> None:
    job = stored_job(database)
    release_segment(database, new_claim(database, job.segments[0]), reason="stopping", counts=False)

    assert new_claim(database, job.segments[0], worker="bob").attempt == 1


def test_releasing_a_segment_after_a_failure_costs_an_attempt(database: Database) -> None:
    job = stored_job(database)
    release_segment(database, new_claim(database, job.segments[0]), reason="disk full", counts=True)

    with database.read() as session:
        assert session.scalars(select(SegmentRow.last_error)).one() == "disk full"
    assert new_claim(database, job.segments[0]).attempt == 2
    with database.read() as session:
        error = session.scalars(select(SegmentRow.last_error)).one()
    assert error is None, "what ended one attempt is no evidence of how the next one ends"


def test_cancelling_ends_waiting_and_running_segments(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4", "c.mp4"])
    finish_segment(
        database,
        new_claim(database, job.segments[0]),
        results([face()], [track()], artifacts=[artifact()]),
    )
    running = new_claim(database, job.segments[1])

    document = results_api.cancel_job(database, job.id)

    assert document.status is JobStatus.CANCELLED
    assert states(database, job)[1:] == (
        ["succeeded", "cancelled", "cancelled"],
        ["succeeded", "cancelled", "cancelled"],
    )
    with pytest.raises(CancelledError):
        renew_segment(database, running, lease_seconds=9, frames_done=1, frames_total=None)
    with pytest.raises(CancelledError):
        finish_segment(database, running, results([face(9)]))
    assert (
        claim_segment(database, job.segments[2], worker="w", lease_seconds=9, max_attempts=3)
        is None
    )
    assert len(results_api.list_faces(database, FaceQuery(job_id=job.id)).faces) == 1
    assert len(results_api.list_artifacts(database, job.id).artifacts) == 1


def test_cancelling_twice_is_allowed_but_not_after_the_end(database: Database) -> None:
    job = stored_job(database)
    results_api.cancel_job(database, job.id)
    assert results_api.cancel_job(database, job.id).status is JobStatus.CANCELLED

    done = stored_job(database)
    finish_segment(database, new_claim(database, done.segments[0]), results())
    claim = claim_job(database, done.id, worker="w", lease_seconds=9, max_attempts=3)
    assert claim is not None
    finish_job(database, claim, [])
    with pytest.raises(StateError):
        results_api.cancel_job(database, done.id)
    with pytest.raises(NotFoundError):
        results_api.cancel_job(database, "no-such-job")


def test_cancelling_discards_exports_that_are_being_written(database: Database) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    renew_job(database, claim, lease_seconds=60)

    results_api.cancel_job(database, job.id)

    with pytest.raises(CancelledError):
        renew_job(database, claim, lease_seconds=60)
    with pytest.raises(CancelledError):
        finish_job(database, claim, [artifact("faces.csv", kind="faces_csv")])
    assert results_api.list_artifacts(database, job.id).artifacts == []


def test_released_exports_are_available_and_cost_no_attempt(database: Database) -> None:
    job = stored_job(database)
    finish_segment(database, new_claim(database, job.segments[0]), results())
    claim = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert claim is not None
    release_job(database, claim, reason="stopping", counts=False)

    again = claim_job(database, job.id, worker="w", lease_seconds=60, max_attempts=3)
    assert again is not None
    assert again.attempt == 1


def test_a_concurrent_claim_and_cancel_never_deadlock(database: Database) -> None:
    for _ in range(5):
        job = stored_job(database, ["a.mp4", "b.mp4"])
        first = new_claim(database, job.segments[0])

        outcomes = run_concurrently(
            partial(finish_segment, database, first, results([face()])),
            partial(
                claim_segment,
                database,
                job.segments[1],
                worker="w",
                lease_seconds=60,
                max_attempts=3,
            ),
            partial(results_api.cancel_job, database, job.id),
        )

        unexpected = [
            outcome
            for outcome in outcomes
            if isinstance(outcome, Exception) and not isinstance(outcome, CancelledError)
        ]
        assert unexpected == []
        assert states(database, job)[0] == "cancelled"
        assert states(database, job)[2][1] == "cancelled"


def test_deleting_a_running_job_revokes_its_lease(
    database: Database, storage: LocalStorage
) -> None:
    job = stored_job(database)
    claim = new_claim(database, job.segments[0])

    delete_job(job.id, database=database, storage=storage)

    with pytest.raises(LeaseLostError):
        finish_segment(database, claim, results([face()], [track()], artifacts=[artifact()]))
    with database.read() as session:
        for table in (JobRow, ItemRow, SegmentRow, FaceRow, TrackRow, ArtifactRow):
            assert session.scalars(select(table)).all() == []
    with pytest.raises(NotFoundError):
        delete_job(job.id, database=database, storage=storage)
