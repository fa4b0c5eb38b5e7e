"""Narrowed questions about faces: other plans, the same answers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.results import list_faces, planner_hints
from faces_jobs.results.faces import faces_statement
from tests.factories import StoredJob, claimed, face, results, stored_job
from tests.integration.face_pages import all_pages

LABELS = {"gender": ("female", "male"), "age": ("child", "young", "old"), "pose": ("up", "down")}


@pytest.fixture
def jobs(database: Database) -> list[StoredJob]:
    """Three jobs of three items, whose faces have a few labels of uneven shares."""
    chance = random.Random(0)
    stored = [stored_job(database, ["0.mp4", "1.mp4", "2.mp4"]) for _ in range(3)]
    for job in stored:
        for segment in job.segments:
            made = [_face(chance, number) for number in range(30)]
            finish_segment(database, claimed(database, segment), results(made))
    return stored


def _face(chance: random.Random, number: int) -> FaceRecord:
    return face(
        number,
        track=number // 10 + 1,
        gender=(chance.choices(LABELS["gender"], (9, 1))[0], chance.random()),
        age=(chance.choices(LABELS["age"], (1, 20, 20))[0], chance.random()),
        pose=(chance.choice(LABELS["pose"]), chance.random()),
    )


@pytest.mark.parametrize("few", [0, 5, 1000])
def test_answers_are_those_of_the_plain_question(
    database: Database, jobs: list[StoredJob], monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", few)
    everything = list_faces(database, FaceQuery(limit=1000)).faces
    assert len(everything) == 270
    chance = random.Random(few)
    for _ in range(60):
        query, fits = _question(chance, jobs)
        assert all_pages(database, query) == [one for one in everything if fits(one)], query


def _question(
    chance: random.Random, jobs: list[StoredJob]
) -> tuple[FaceQuery, Callable[[FaceDocument], bool]]:
    job = chance.choice([None, *jobs])
    item = chance.choice([None, None, None, chance.choice(jobs).items[1]])
    lowest = chance.choice([None, 0.5])
    track = chance.choice([None, None, 2])
    wanted = {
        head: AttributeFilter(tuple(chance.sample(labels, chance.choice([1, 2]))), lowest)
        for head, labels in LABELS.items()
        if chance.random() < 0.6
    }

    def fits(one: FaceDocument) -> bool:
        return (
            (job is None or one.job_id == job.id)
            and (item is None or one.item_id == item)
            and (track is None or one.track == track)
            and all(
                one.attributes[head].label in asked.labels
                and one.attributes[head].probability >= (lowest or 0.0)
                for head, asked in wanted.items()
            )
        )

    query = FaceQuery(
        job_id=None if job is None else job.id,
        item_id=item,
        track=track,
        attributes=wanted,
        limit=chance.choice([7, 1000]),
    )
    return query, fits


def test_a_job_s_labels_are_looked_for_among_its_items(
    database: Database, jobs: list[StoredJob]
) -> None:
    query = FaceQuery(job_id=jobs[1].id, attributes={"gender": AttributeFilter(("male",))})
    with database.read() as session:
        written = str(
            planner_hints.narrow_by_index(session, query, faces_statement(query)).compile(
                database.engine, compile_kwargs={"literal_binds": True}
            )
        )
    assert f"faces.item_id >= {jobs[1].items[0]}" in written
    assert f"faces.item_id <= {jobs[1].items[-1]}" in written
