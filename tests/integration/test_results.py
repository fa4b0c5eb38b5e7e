"""Queries of results: filters, pages, and what is refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from faces_jobs import results as results_api
from faces_jobs.db.results.rows import CHUNK_ROWS, read_faces, read_tracks
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.errors import NotFoundError, OptionsError
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus, JobStatus
from tests.factories import (
    FRAME_MS,
    StoredJob,
    artifact,
    face,
    new_claim,
    results,
    stored_job,
    track,
)


@pytest.fixture
def crowd(database: Database) -> StoredJob:
    """A job of two items with 20 frames of two faces each, and another job with one face."""
    job = stored_job(database, ["first.mp4", "second.mp4"], spec=JobSpec(label="Crowd"))
    for segment in job.segments:
        finish_segment(
            database,
            new_claim(database, segment),
            results(
                [
                    face(
                        frame,
                        number,
                        track=number + 1,
                        score=0.5 + frame / 100,
                        gender=("female" if number else "male", 0.5 + frame / 50),
                        age="old" if frame % 10 == 0 else "young",
                        expression=("unsure", 0.4) if frame % 4 == 3 else ("fear", 0.9),
                    )
                    for frame in range(20)
                    for number in range(2)
                ],
                [track(1, frames=20, gender="male"), track(2, frames=20, gender="female")],
                artifacts=[
                    artifact(f"{segment}-{number}.jpg", kind="thumbnail") for number in range(2)
                ],
                frames=20,
            ),
        )
    other = stored_job(database, ["other.mp4"])
    finish_segment(
        database,
        new_claim(database, other.segments[0]),
        results([face(0, gender=("female", 0.99))], [track()]),
    )
    return job


def all_faces(database: Database, **filters: Any) -> list[tuple[int, int, int]]:
    """Return the faces of all pages of a query, as (item, frame, face)."""
    found: list[tuple[int, int, int]] = []
    cursor = None
    while True:
        page = results_api.list_faces(database, FaceQuery(**filters, cursor=cursor))
        found += [(each.item_id, each.frame_index, each.face_index) for each in page.faces]
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 7, 40, 80, 1000])
def test_pages_hold_every_face_once_in_order(
    database: Database, crowd: StoredJob, limit: int
) -> None:
    expected = [(item, frame, n) for item in crowd.items for frame in range(20) for n in range(2)]

    assert all_faces(database, job_id=crowd.id, limit=limit) == expected


def test_pages_by_time_hold_every_face_once_in_order(database: Database, crowd: StoredJob) -> None:
    item = crowd.items[1]

    found = all_faces(
        database, item_id=item, min_time_ms=5 * FRAME_MS, max_time_ms=9 * FRAME_MS, limit=3
    )

    assert found == [(item, frame, n) for frame in range(5, 10) for n in range(2)]


def test_faces_of_all_jobs_can_be_queried(database: Database, crowd: StoredJob) -> None:
    assert len(all_faces(database)) == 81
    women = FaceQuery(
        attributes={"gender": AttributeFilter(("female",), min_probability=0.8)}, limit=1000
    )
    page = results_api.list_faces(database, women)
    assert {each.job_id for each in page.faces} > {crowd.id}
    assert {each.item_name for each in page.faces} == {"first.mp4", "second.mp4", "other.mp4"}
    assert all(each.attributes["gender"].probability >= 0.8 for each in page.faces)


@pytest.mark.parametrize(
    ("filters", "keeps"),
    [
        ({"track": 2}, lambda _item, _frame, n: n == 1),
        ({"min_score": 0.6}, lambda _item, frame, _n: frame >= 10),
        ({"max_time_ms": 0.0}, lambda _item, frame, _n: frame == 0),
        (
            {"attributes": {"gender": AttributeFilter(("male",))}},
            lambda _item, _frame, n: n == 0,
        ),
        (
            {"attributes": {"age": AttributeFilter(("old", "middle"))}},
            lambda _item, frame, _n: frame % 10 == 0,
        ),
        (
            {
                "attributes": {
                    "gender": AttributeFilter(("female",), 0.6, 0.7),
                    "age": AttributeFilter(("young",)),
                }
            },
            lambda _item, frame, n: n == 1 and 5 <= frame < 10,
        ),
        ({"attributes": {"makeup": AttributeFilter(("over",))}}, lambda *_place: False),
        (
            {"attributes": {"expression": AttributeFilter(("unsure",))}},
            lambda _item, frame, _n: frame % 4 == 3,
        ),
        (
            {"attributes": {"expression": AttributeFilter(("unsure", "anger"), 0.35, 0.45)}},
            lambda _item, frame, _n: frame % 4 == 3,
        ),
        ({"attributes": {"gender": AttributeFilter(("unsure",))}}, lambda *_place: False),
    ],
)
def test_faces_are_filtered(
    database: Database,
    crowd: StoredJob,
    filters: dict[str, Any],
    keeps: Callable[[int, int, int], bool],
) -> None:
    unfiltered = all_faces(database, job_id=crowd.id)

    assert all_faces(database, job_id=crowd.id, limit=3, **filters) == [
        place for place in unfiltered if keeps(*place)
    ]


def test_tracks_are_paged_and_filtered(database: Database, crowd: StoredJob) -> None:
    page = results_api.list_tracks(database, TrackQuery(job_id=crowd.id, limit=3))
    rest = results_api.list_tracks(
        database, TrackQuery(job_id=crowd.id, limit=3, cursor=page.next_cursor)
    )

    assert [(each.item_id, each.track) for each in (*page.tracks, *rest.tracks)] == [
        (item, number) for item in crowd.items for number in (1, 2)
    ]
    assert rest.next_cursor is None
    women = results_api.list_tracks(
        database,
        TrackQuery(
            job_id=crowd.id,
            item_id=crowd.items[0],
            attributes={"gender": AttributeFilter(("female",))},
            min_time_ms=FRAME_MS * 19,
        ),
    )
    assert [each.track for each in women.tracks] == [2]
    assert women.tracks[0].attributes["gender"].label == "female"
    late = TrackQuery(job_id=crowd.id, min_time_ms=FRAME_MS * 19 + 1)
    assert results_api.list_tracks(database, late).tracks == []


def test_a_track_names_its_thumbnail(database: Database) -> None:
    job = stored_job(database)
    shot = artifact("0-a.track-1.jpg", kind="thumbnail")
    finish_segment(
        database,
        new_claim(database, job.segments[0]),
        results(
            tracks=[track(1), track(2)],
            artifacts=[replace(shot, track=1), artifact()],
        ),
    )

    one, two = results_api.list_tracks(database, TrackQuery(job_id=job.id)).tracks

    assert two.thumbnail_artifact_id is None
    assert one.thumbnail_artifact_id is not None
    found = results_api.list_artifacts(database, job.id).artifacts
    (shown,) = (artifact for artifact in found if artifact.id == one.thumbnail_artifact_id)
    assert (shown.kind, shown.track, shown.item_name) == ("thumbnail", 1, "a.mp4")


def test_jobs_are_listed_newest_first_by_state_and_label(database: Database) -> None:
    made = [
        stored_job(database, spec=JobSpec(label=label))
        for label in ("Holiday 2024", "Übung: interview", "50% of the HOLIDAY")
    ]
    results_api.cancel_job(database, made[1].id)

    def ids(**filters: Any) -> list[str]:
        found: list[str] = []
        cursor = None
        while True:
            page = results_api.list_jobs(database, limit=1, cursor=cursor, **filters)
            found += [job.id for job in page.jobs]
            cursor = page.next_cursor
            if cursor is None:
                return found

    first, second, third = (job.id for job in made)
    assert ids() == [third, second, first]
    assert ids(status=JobStatus.CANCELLED) == [second]
    assert ids(label="holiday") == [third, first]
    assert ids(label="50%") == [third]
    assert ids(label="übung") == ids(label="ÜBUNG") == [second]
    assert ids(label="_") == []


def test_a_job_counts_its_items(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.png", "c.txt", "d.png"], refused=["c.txt"])
    finish_segment(
        database, new_claim(database, job.segments[1]), results([face()], [track()], frames=1)
    )

    document = results_api.get_job(database, job.id)

    assert document.items_by_status == {
        ItemStatus.QUEUED: 2,
        ItemStatus.SUCCEEDED: 1,
        ItemStatus.FAILED: 1,
    }
    assert (document.item_count, document.face_count, document.track_count) == (4, 1, 1)
    assert document.progress.frames_total is None
    assert document.progress.fraction == pytest.approx(1 / 3), "the refused file is no work"


def test_a_job_of_which_files_were_refused_starts_at_nothing_done(database: Database) -> None:
    job = stored_job(database, ["a.png", "b.txt", "c.txt"], refused=["b.txt", "c.txt"])

    document = results_api.get_job(database, job.id)

    assert document.items_by_status == {ItemStatus.QUEUED: 1, ItemStatus.FAILED: 2}
    assert document.progress.fraction == 0.0
    (claimed_segment,) = job.segments
    claim = new_claim(database, claimed_segment)
    finish_segment(database, claim, results([face()], [track()], frames=1))
    assert results_api.get_job(database, job.id).progress.fraction == pytest.approx(0.99)


def test_items_are_listed_in_order_with_their_errors(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.txt", "c.png"], refused=["b.txt"])
    page = results_api.list_items(database, job.id, limit=2)
    rest = results_api.list_items(database, job.id, limit=2, cursor=page.next_cursor)

    items = [*page.items, *rest.items]

    assert [(item.position, item.name) for item in items] == [
        (0, "a.mp4"),
        (1, "b.txt"),
        (2, "c.png"),
    ]
    assert items[1].error is not None
    assert items[1].error.code == "empty-file"
    assert items[2].progress.frames_total == 1
    assert rest.next_cursor is None


def test_artifacts_are_paged_and_filtered_by_item_and_kind(
    database: Database, crowd: StoredJob
) -> None:
    page = results_api.list_artifacts(database, crowd.id, limit=3)
    rest = results_api.list_artifacts(database, crowd.id, limit=3, cursor=page.next_cursor)
    assert len(page.artifacts) == 3
    assert len(rest.artifacts) == 1
    of_first = results_api.list_artifacts(database, crowd.id, item_id=crowd.items[0])
    assert {each.item_id for each in of_first.artifacts} == {crowd.items[0]}
    assert results_api.list_artifacts(database, crowd.id, kind="faces_csv").artifacts == []
    with pytest.raises(NotFoundError):
        results_api.list_artifacts(database, str(uuid.uuid4()))


def test_unknown_jobs_are_not_found(database: Database) -> None:
    unknown = str(uuid.uuid4())
    for query in (
        lambda: results_api.get_job(database, unknown),
        lambda: results_api.list_items(database, unknown),
        lambda: results_api.list_tracks(database, TrackQuery(job_id=unknown)),
        lambda: results_api.list_faces(database, FaceQuery(job_id=unknown)),
        lambda: results_api.list_artifacts(database, unknown),
    ):
        with pytest.raises(NotFoundError):
            query()


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "bnVsbA", "W10", "WzEsMiwzXQ", "WzEsMiwzLCJhIl0", "W" * 5000, "\0"]
)
def test_invalid_cursors_are_refused(database: Database, cursor: str) -> None:
    job = stored_job(database)
    for query in (
        lambda: results_api.list_faces(database, FaceQuery(cursor=cursor)),
        lambda: results_api.list_jobs(database, cursor=cursor),
        lambda: results_api.list_items(database, job.id, cursor=cursor),
        lambda: results_api.list_tracks(database, TrackQuery(job_id=job.id, cursor=cursor)),
    ):
        with pytest.raises(OptionsError, match="cursor"):
            query()


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_limits_out_of_range_are_refused(database: Database, limit: int) -> None:
    with pytest.raises(OptionsError, match="limit"):
        results_api.list_faces(database, FaceQuery(limit=limit))
    with pytest.raises(OptionsError, match="limit"):
        results_api.list_jobs(database, limit=limit)


def test_unknown_attributes_and_labels_are_refused(database: Database) -> None:
    for attributes in ({"mood": AttributeFilter()}, {"gender": AttributeFilter(("cat",))}):
        with pytest.raises(OptionsError):
            results_api.list_faces(database, FaceQuery(attributes=attributes))


def test_exports_read_every_row_in_chunks(database: Database) -> None:
    job = stored_job(database, ["a.mp4", "b.mp4"])
    faces = [face(number, gender="male") for number in range(CHUNK_ROWS + 3)]
    for segment in job.segments:
        finish_segment(database, new_claim(database, segment), results(faces, [track(1), track(2)]))

    read = list(read_faces(database, job.id))

    assert [name for name, _ in read] == ["a.mp4"] * len(faces) + ["b.mp4"] * len(faces)
    assert [record for _, record in read] == faces * 2
    assert [(name, each.track) for name, each in read_tracks(database, job.id)] == [
        ("a.mp4", 1),
        ("a.mp4", 2),
        ("b.mp4", 1),
        ("b.mp4", 2),
    ]
