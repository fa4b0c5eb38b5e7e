"""Queries of faces with planner hints: other plans, the same results."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.results import list_faces, planner_hints
from faces_jobs.results.faces import faces_statement
from tests.factories import StoredJob, face, new_claim, results, stored_job
from tests.integration.face_pages import all_pages

LABELS = {"gender": ("female", "male"), "age": ("child", "young", "old"), "pose": ("up", "down")}


@pytest.fixture
def jobs(database: Database) -> list[StoredJob]:
    """Three jobs of three items whose faces have a few labels, unevenly distributed."""
    rng = random.Random(0)
    stored = [stored_job(database, ["0.mp4", "1.mp4", "2.mp4"]) for _ in range(3)]
    for job in stored:
        for segment in job.segments:
            made = [_face(rng, number) for number in range(30)]
            finish_segment(database, new_claim(database, segment), results(made))
    return stored


def _face(rng: random.Random, number: int) -> FaceRecord:
    return face(
        number,
        track=number // 10 + 1,
        gender=(rng.choices(LABELS["gender"], (9, 1))[0], rng.random()),
        age=(rng.choices(LABELS["age"], (1, 20, 20))[0], rng.random()),
        pose=(rng.choice(LABELS["pose"]), rng.random()),
    )


@pytest.mark.parametrize("few", [0, 5, 1000])
def test_hints_do_not_change_the_results(
    database: Database, jobs: list[StoredJob], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", few)
    everything = list_faces(database, FaceQuery(limit=1000)).faces
    assert len(everything) == 270
    rng = random.Random(few)
    for _ in range(60):
        query, fits = _random_query(rng, jobs)
        assert all_pages(database, query) == [one for one in everything if fits(one)], query


def _random_query(
    rng: random.Random, jobs: list[StoredJob]
) -> tuple[FaceQuery, Callable[[FaceDocument], bool]]:
    job = rng.choice([None, *jobs])
    item = rng.choice([None, None, None, rng.choice(jobs).items[1]])
    min_probability = rng.choice([None, 0.5])
    track = rng.choice([None, None, 2])
    wanted = {
        head: AttributeFilter(tuple(rng.sample(labels, rng.choice([1, 2]))), min_probability)
        for head, labels in LABELS.items()
        if rng.random() < 0.6
    }

    def fits(one: FaceDocument) -> bool:
        return (
            (job is None or one.job_id == job.id)
            and (item is None or one.item_id == item)
            and (track is None or one.track == track)
            and all(
                one.attributes[head].label in criteria.labels
                and one.attributes[head].probability >= (min_probability or 0.0)
                for head, criteria in wanted.items()
            )
        )

    query = FaceQuery(
        job_id=None if job is None else job.id,
        item_id=item,
        track=track,
        attributes=wanted,
        limit=rng.choice([7, 1000]),
    )
    return query, fits


def test_labels_of_a_job_are_searched_by_its_items(
    database: Database, jobs: list[StoredJob]
) -> None:
    query = FaceQuery(job_id=jobs[1].id, attributes={"gender": AttributeFilter(("male",))})
    with database.read() as session:
        sql = str(
            planner_hints.narrow_by_index(session, query, faces_statement(query)).compile(
                database.engine, compile_kwargs={"literal_binds": True}
            )
        )
    assert f"faces.item_id >= {jobs[1].items[0]}" in sql
    assert f"faces.item_id <= {jobs[1].items[-1]}" in sql
