"""Blocks of faces: what nobody has is answered without faces; all else is answered the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, func, select

from faces_jobs.db import migrate, rows
from faces_jobs.db.blocks import block_values
from faces_jobs.db.bundles import can_start_bundle, claim_rest_of_bundle, finish_bundle
from faces_jobs.db.rows import replace_faces
from faces_jobs.db.scheduling import claim_next
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import FACE_BLOCKS
from faces_jobs.db.tables.blocks import HEAD_PAIRS, pair_bit
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.results import blocks, list_faces, planner_hints
from tests.factories import StoredJob, claimed, face, results, stored_job
from tests.integration.face_pages import all_pages

LABELS = {
    "gender": ("female", "male", "unsure"),
    "age": ("child", "young", "old"),
    "occlusion": ("unsure", "none"),
    "expression": ("anger", "unsure"),
}


@pytest.fixture
def jobs(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[StoredJob]:
    """Films in blocks of seven, one written a second time, and images that two workers did."""
    monkeypatch.setattr(rows, "CHUNK_ROWS", 7)
    monkeypatch.setattr(blocks, "BLOCKS_PER_QUERY", (1, 2))
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", -1)
    chance = random.Random(0)
    films = [stored_job(database, ["0.mp4", "1.mp4"]) for _ in range(2)]
    for job in films:
        for segment in job.segments:
            made = [_face(chance, number) for number in range(40)]
            finish_segment(database, claimed(database, segment), results(made))
    with database.begin() as session:
        replace_faces(
            session,
            job_id=films[0].id,
            item_id=films[0].items[0],
            faces=[_face(chance, number) for number in range(10, 25)],
            start_frame=10,
            end_frame=25,
        )
    images = stored_job(database, [f"{number}.png" for number in range(12)])
    for number in range(4):
        _bundle(database, chance, skips=number % 2)
    return [*films, images]


def _face(chance: random.Random, number: int) -> FaceRecord:
    """A face without some heads, perhaps; nobody female is a child."""
    labels = {
        head: (chance.choice(answers), round(0.98 * chance.random(), 2))
        for head, answers in LABELS.items()
        if chance.random() < 0.9
    }
    if labels.get("gender", ("",))[0] == "female":
        labels.pop("age", None)
    return face(
        number, number % 3, track=number // 10 + 1, score=round(0.98 * chance.random(), 2), **labels
    )


def _bundle(database: Database, chance: random.Random, *, skips: int) -> None:
    """Some images that are done together, but for the first ones; two workers' blocks overlap."""
    first = claim_next(database, worker="alice", lease_seconds=60, max_attempts=3)
    assert first is not None
    assert can_start_bundle(first)
    beside = claim_rest_of_bundle(
        database, first, worker="alice", lease_seconds=60, limit=2 + skips
    )
    finish_bundle(
        database, [(claim, results([_face(chance, 0)])) for claim in [*beside[::-1], first]]
    )


def _filters(
    chance: random.Random, jobs: list[StoredJob]
) -> tuple[FaceQuery, Callable[[FaceDocument], bool]]:
    job = chance.choice([None, *jobs])
    item = chance.choice([None, None, None, chance.choice(jobs).items[-1]])
    track = chance.choice([None, None, 2])
    score = chance.choice([None, None, 0.7, 0.99])
    times = chance.choice([(None, None), (None, None), (400.0, None), (200.0, 800.0), (9e9, None)])
    wanted = {
        head: AttributeFilter(
            tuple(chance.sample(labels, chance.choice([0, 1, 1, 2]))),
            chance.choice([None, None, 0.4, 0.95]),
            chance.choice([None, None, 0.6]),
        )
        for head, labels in LABELS.items()
        if chance.random() < 0.5
    }

    def has(one: FaceDocument, head: str, asked: AttributeFilter) -> bool:
        if asked == AttributeFilter():
            return True
        found = one.attributes.get(head)
        return (
            found is not None
            and (not asked.labels or found.label in asked.labels)
            and found.probability >= (asked.min_probability or 0.0)
            and found.probability <= (asked.max_probability or 1.0)
        )

    def fits(one: FaceDocument) -> bool:
        return (
            (job is None or one.job_id == job.id)
            and (item is None or one.item_id == item)
            and (track is None or one.track == track)
            and one.score >= (score or 0.0)
            and (times[0] or 0.0) <= one.time_ms <= (times[1] or 1e12)
            and all(has(one, head, asked) for head, asked in wanted.items())
        )

    query = FaceQuery(
        job_id=None if job is None else job.id,
        item_id=item,
        track=track,
        min_score=score,
        min_time_ms=times[0],
        max_time_ms=times[1],
        attributes=wanted,
        limit=chance.choice([2, 9, 1000]),
    )
    return query, fits


def _check_answers(database: Database, jobs: list[StoredJob], *, seed: int) -> None:
    everything = list_faces(database, FaceQuery(limit=1000)).faces
    assert len(everything) == 172
    chance = random.Random(seed)
    asked = answered = 0
    for _ in range(40):
        query, fits = _filters(chance, jobs)
        expected = [one for one in everything if fits(one)]
        assert all_pages(database, query) == expected, query
        asked += blocks.uses_blocks(query)
        answered += bool(expected)
    assert asked > 15
    assert 5 < answered < 40


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_those_of_the_faces(
    database: Database, jobs: list[StoredJob], seed: int
) -> None:
    _check_answers(database, jobs, seed=seed)


def test_faces_from_before_there_were_blocks_are_found_too(
    database_url: str, database: Database, jobs: list[StoredJob]
) -> None:
    database.close()
    migrate.downgrade(database_url, "0011")
    migrate.upgrade(database_url)
    with open_database(database_url) as upgraded:
        with upgraded.read() as session:
            assert session.scalar(select(func.count()).select_from(FACE_BLOCKS))
        _check_answers(upgraded, jobs, seed=9)


def test_the_migration_sums_up_as_the_code_does(database_url: str, database: Database) -> None:
    job = stored_job(database)
    alone: list[dict[str, Any]] = [
        {head: (label, place / 64)}
        for head, answers in LABELS_WITH_UNSURE.items()
        for place, label in enumerate(answers[:2])
    ]
    made = [face(number, score=0.25, **labels) for number, labels in enumerate(alone)]
    last: dict[str, Any] = {head: answers[-1] for head, answers in LABELS_WITH_UNSURE.items()}
    made += [face(50, 1, **last), face(51, **(last | {"occlusion": "hand"}))]
    finish_segment(database, claimed(database, job.segments[0]), results(made))
    by_code = _only_block(database)
    database.close()
    migrate.downgrade(database_url, "0011")
    migrate.upgrade(database_url)

    with open_database(database_url) as upgraded:
        by_migration = _only_block(upgraded)

    assert by_code == {**block_values(job.id, [(job.items[0], one) for one in made])}
    assert by_migration | {"first_face": 0, "last_face": 0} == by_code | {
        "first_face": 0,
        "last_face": 0,
    }


def _only_block(database: Database) -> dict[str, Any]:
    with database.read() as session:
        (row,) = session.execute(select(FACE_BLOCKS)).mappings()
    return {name: value for name, value in row.items() if name != "id"}


@pytest.mark.parametrize(
    "query",
    [
        FaceQuery(min_time_ms=1e9),
        FaceQuery(min_score=0.9999),
        FaceQuery(track=77),
        FaceQuery(attributes={"gender": AttributeFilter(("male",), 0.9999)}),
        FaceQuery(attributes={"age": AttributeFilter((), None, -1.0)}),
        FaceQuery(
            attributes={"gender": AttributeFilter(("female",)), "age": AttributeFilter(("child",))}
        ),
    ],
)
def test_of_what_nobody_has_no_face_is_looked_at(
    database: Database, jobs: list[StoredJob], query: FaceQuery
) -> None:
    assert jobs
    for scope in (query, replace(query, job_id=jobs[0].id), replace(query, job_id=jobs[2].id)):
        with _statements(database) as asked:
            assert list_faces(database, scope).faces == []
        assert any("FROM face_blocks" in statement for statement in asked)
        read = [one for one in asked if "box_left" in one]
        assert read == [], "faces are read"


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    told: list[str] = []

    def tell(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        told.append(statement)

    event.listen(database.engine, "before_cursor_execute", tell)
    try:
        yield told
    finally:
        event.remove(database.engine, "before_cursor_execute", tell)


def test_a_second_attempt_leaves_no_block_of_the_first(database: Database) -> None:
    job = stored_job(database)
    for faces in ([face(1, gender="female"), face(2)], [face(3, gender="male")]):
        with database.begin() as session:
            replace_faces(session, job_id=job.id, item_id=job.items[0], faces=faces)
    block = _only_block(database)
    assert (block["first_frame"], block["gender_female_max"]) == (3, None)


def test_every_pair_of_answers_has_a_bit_of_its_own() -> None:
    for one, other in HEAD_PAIRS:
        bits = [
            pair_bit(one, label, other, other_label)
            for label in LABELS_WITH_UNSURE[one]
            for other_label in LABELS_WITH_UNSURE[other]
        ]
        assert len({bit % 2**64 for bit in bits}) == len(bits)
        assert all((bit % 2**64).bit_count() == 1 for bit in bits)
        assert all(-(2**63) <= bit < 2**63 for bit in bits)
