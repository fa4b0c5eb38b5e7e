"""Blocks of faces: they save reading faces that can't match, and never change the results."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, func, select

from faces_jobs.db import migrate
from faces_jobs.db.claims.scheduling import claim_next
from faces_jobs.db.results import rows
from faces_jobs.db.results.blocks import block_values
from faces_jobs.db.results.rows import replace_faces
from faces_jobs.db.segments.bundles import can_start_bundle, claim_rest_of_bundle, finish_bundle
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import FACE_BLOCKS
from faces_jobs.db.tables.blocks import HEAD_PAIRS, pair_bit
from faces_jobs.jobs.documents import FaceDocument
from faces_jobs.jobs.labels import LABELS_WITH_UNSURE
from faces_jobs.jobs.query import AttributeFilter, FaceQuery
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.results import blocks, list_faces, planner_hints
from tests.factories import StoredJob, face, new_claim, results, stored_job
from tests.integration.face_pages import all_pages

LABELS = {
    "gender": ("female", "male", "unsure"),
    "age": ("child", "young", "old"),
    "occlusion": ("unsure", "none"),
    "expression": ("anger", "unsure"),
}


@pytest.fixture
def jobs(database: Database, monkeypatch: pytest.MonkeyPatch) -> list[StoredJob]:
    """Videos in blocks of seven, one partly rewritten, and images that two workers processed."""
    monkeypatch.setattr(rows, "CHUNK_ROWS", 7)
    monkeypatch.setattr(blocks, "BLOCKS_PER_QUERY", (1, 2))
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", -1)
    rng = random.Random(0)
    videos = [stored_job(database, ["0.mp4", "1.mp4"]) for _ in range(2)]
    for job in videos:
        for segment in job.segments:
            made = [_face(rng, number) for number in range(40)]
            finish_segment(database, new_claim(database, segment), results(made))
    with database.begin() as session:
        replace_faces(
            session,
            job_id=videos[0].id,
            item_id=videos[0].items[0],
            faces=[_face(rng, number) for number in range(10, 25)],
            start_frame=10,
            end_frame=25,
        )
    images = stored_job(database, [f"{number}.png" for number in range(12)])
    for number in range(4):
        _bundle(database, rng, skips=number % 2)
    return [*videos, images]


def _face(rng: random.Random, number: int) -> FaceRecord:
    """A random face, which may lack some heads; no face is both female and a child."""
    labels = {
        head: (rng.choice(answers), round(0.98 * rng.random(), 2))
        for head, answers in LABELS.items()
        if rng.random() < 0.9
    }
    if labels.get("gender", ("",))[0] == "female":
        labels.pop("age", None)
    return face(
        number, number % 3, track=number // 10 + 1, score=round(0.98 * rng.random(), 2), **labels
    )


def _bundle(database: Database, rng: random.Random, *, skips: int) -> None:
    """Finish some images together but the first ones, so that two workers' blocks overlap."""
    first = claim_next(database, worker="alice", lease_seconds=60, max_attempts=3)
    assert first is not None
    assert can_start_bundle(first)
    beside = claim_rest_of_bundle(
        database, first, worker="alice", lease_seconds=60, limit=2 + skips
    )
    finish_bundle(database, [(claim, results([_face(rng, 0)])) for claim in [*beside[::-1], first]])


def _random_query(
    rng: random.Random, jobs: list[StoredJob]
) -> tuple[FaceQuery, Callable[[FaceDocument], bool]]:
    job = rng.choice([None, *jobs])
    item = rng.choice([None, None, None, rng.choice(jobs).items[-1]])
    track = rng.choice([None, None, 2])
    score = rng.choice([None, None, 0.7, 0.99])
    times = rng.choice([(None, None), (None, None), (400.0, None), (200.0, 800.0), (9e9, None)])
    wanted = {
        head: AttributeFilter(
            tuple(rng.sample(labels, rng.choice([0, 1, 1, 2]))),
            rng.choice([None, None, 0.4, 0.95]),
            rng.choice([None, None, 0.6]),
        )
        for head, labels in LABELS.items()
        if rng.random() < 0.5
    }

    def has(one: FaceDocument, head: str, criteria: AttributeFilter) -> bool:
        if criteria == AttributeFilter():
            return True
        found = one.attributes.get(head)
        return (
            found is not None
            and (not criteria.labels or found.label in criteria.labels)
            and found.probability >= (criteria.min_probability or 0.0)
            and found.probability <= (criteria.max_probability or 1.0)
        )

    def fits(one: FaceDocument) -> bool:
        return (
            (job is None or one.job_id == job.id)
            and (item is None or one.item_id == item)
            and (track is None or one.track == track)
            and one.score >= (score or 0.0)
            and (times[0] or 0.0) <= one.time_ms <= (times[1] or 1e12)
            and all(has(one, head, criteria) for head, criteria in wanted.items())
        )

    query = FaceQuery(
        job_id=None if job is None else job.id,
        item_id=item,
        track=track,
        min_score=score,
        min_time_ms=times[0],
        max_time_ms=times[1],
        attributes=wanted,
        limit=rng.choice([2, 9, 1000]),
    )
    return query, fits


def _check_results(database: Database, jobs: list[StoredJob], *, seed: int) -> None:
    everything = list_faces(database, FaceQuery(limit=1000)).faces
    assert len(everything) == 172
    rng = random.Random(seed)
    with_blocks = with_faces = 0
    for _ in range(40):
        query, fits = _random_query(rng, jobs)
        expected = [one for one in everything if fits(one)]
        assert all_pages(database, query) == expected, query
        with_blocks += blocks.uses_blocks(query)
        with_faces += bool(expected)
    assert with_blocks > 15
    assert 5 < with_faces < 40


@pytest.mark.parametrize("seed", range(3))
def test_queries_return_the_faces_that_match(
    database: Database, jobs: list[StoredJob], seed: int
) -> None:
    _check_results(database, jobs, seed=seed)


def test_faces_stored_before_blocks_existed_are_found(
    database_url: str, database: Database, jobs: list[StoredJob]
) -> None:
    database.close()
    migrate.downgrade(database_url, "0011")
    migrate.upgrade(database_url)
    with open_database(database_url) as upgraded:
        with upgraded.read() as session:
            assert session.scalar(select(func.count()).select_from(FACE_BLOCKS))
        _check_results(upgraded, jobs, seed=9)


def test_the_migration_summarises_faces_as_the_code_does(
    database_url: str, database: Database
) -> None:
    job = stored_job(database)
    alone: list[dict[str, Any]] = [
        {head: (label, place / 64)}
        for head, answers in LABELS_WITH_UNSURE.items()
        for place, label in enumerate(answers[:2])
    ]
    made = [face(number, score=0.25, **labels) for number, labels in enumerate(alone)]
    last: dict[str, Any] = {head: answers[-1] for head, answers in LABELS_WITH_UNSURE.items()}
    made += [face(50, 1, **last), face(51, **(last | {"occlusion": "hand"}))]
    finish_segment(database, new_claim(database, job.segments[0]), results(made))
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
def test_no_faces_are_read_for_a_query_that_no_block_can_match(
    database: Database, jobs: list[StoredJob], query: FaceQuery
) -> None:
    assert jobs
    for scope in (query, replace(query, job_id=jobs[0].id), replace(query, job_id=jobs[2].id)):
        with _statements(database) as executed:
            assert list_faces(database, scope).faces == []
        assert any("FROM face_blocks" in statement for statement in executed)
        read = [one for one in executed if "box_left" in one]
        assert read == [], "no faces are read"


def test_the_outermost_faces_of_a_block_are_found_by_their_own_values(database: Database) -> None:
    job = stored_job(database)
    made = [
        face(number, track=number + 1, score=score, gender=("female", score))
        for number, score in enumerate((0.25, 0.5, 0.75))
    ]
    finish_segment(database, new_claim(database, job.segments[0]), results(made))
    first, _, last = list_faces(database, FaceQuery()).faces
    for found, query in (
        (first, FaceQuery(max_time_ms=first.time_ms)),
        (first, FaceQuery(track=1)),
        (first, FaceQuery(attributes={"gender": AttributeFilter((), None, 0.25)})),
        (last, FaceQuery(min_time_ms=last.time_ms)),
        (last, FaceQuery(track=3)),
        (last, FaceQuery(min_score=0.75)),
        (last, FaceQuery(attributes={"gender": AttributeFilter((), 0.75)})),
    ):
        assert list_faces(database, query).faces == [found], query


@contextmanager
def _statements(database: Database) -> Iterator[list[str]]:
    executed: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        executed.append(statement)

    event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield executed
    finally:
        event.remove(database.engine, "before_cursor_execute", record)


def test_a_second_attempt_leaves_no_block_of_the_first(database: Database) -> None:
    job = stored_job(database)
    for faces in ([face(0, gender="female"), face(2)], [face(3, gender="male")]):
        with database.begin() as session:
            replace_faces(session, job_id=job.id, item_id=job.items[0], faces=faces)
    block = _only_block(database)
    assert (block["first_frame"], block["gender_female_max"]) == (3, None)


def test_every_pair_of_labels_has_its_own_bit() -> None:
    for one, other in HEAD_PAIRS:
        bits = [
            pair_bit(one, label, other, other_label)
            for label in LABELS_WITH_UNSURE[one]
            for other_label in LABELS_WITH_UNSURE[other]
        ]
        assert len({bit % 2**64 for bit in bits}) == len(bits)
        assert all((bit % 2**64).bit_count() == 1 for bit in bits)
        assert all(-(2**63) <= bit < 2**63 for bit in bits)
