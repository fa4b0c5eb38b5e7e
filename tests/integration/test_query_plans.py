"""The plans of questions: a database answers them along an index, without sorting."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Select, event, text
from sqlalchemy.orm import ORMExecuteState

from faces_jobs import results as questions
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database
from faces_jobs.jobs.labels import HEADS
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.jobs.records import FaceRecord
from faces_jobs.results import planner_hints
from faces_jobs.results.blocks import faces_in_blocks
from faces_jobs.results.faces import face_conditions, faces_statement, tracks_statement
from faces_jobs.results.planner_hints import narrow_by_index
from tests.factories import (
    StoredJob,
    attributes,
    claimed,
    face,
    results,
    stored_job,
    track,
)


@pytest.fixture
def many(database: Database) -> StoredJob:
    """Enough rows for a planner to care, spread over jobs and items."""
    job = None
    for _ in range(4):
        job = stored_job(database, [f"{number}.mp4" for number in range(5)])
        for segment in job.segments:
            finish_segment(
                database,
                claimed(database, segment),
                results(_varied_faces(800), [track(number) for number in range(1, 200)]),
            )
    with database.begin() as session:
        session.execute(text("ANALYZE"))
    assert job is not None
    return job


def _varied_faces(count: int) -> list[FaceRecord]:
    return [
        replace(
            face(number, track=number // 10 + 1),
            attributes=attributes(
                {
                    head: labels[(number * 7 + place) % len(labels)]
                    for place, (head, labels) in enumerate(HEADS.items())
                }
            ),
        )
        for number in range(count)
    ]


def test_questions_about_faces_use_indexes(
    database: Database, many: StoredJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the special case for rare labels, which sorts: see the test for those below.
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", -1)
    item = many.items[2]
    cursor = questions.list_faces(database, FaceQuery(job_id=many.id, limit=1000)).next_cursor
    assert cursor is not None
    asked = {
        "a job": FaceQuery(job_id=many.id),
        "a job, later": FaceQuery(job_id=many.id, cursor=cursor),
        "an item": FaceQuery(job_id=many.id, item_id=item),
        "all": FaceQuery(),
        "all, later": FaceQuery(cursor=cursor),
        **{
            f"a job with {head}": FaceQuery(
                job_id=many.id, attributes={head: AttributeFilter((labels[-1],))}
            )
            for head, labels in HEADS.items()
        },
        **{
            f"all with {head}": FaceQuery(attributes={head: AttributeFilter((labels[-1],), 0.5)})
            for head, labels in HEADS.items()
        },
        **{
            f"all with {head}, later": FaceQuery(
                attributes={head: AttributeFilter((labels[-1],))}, cursor=cursor
            )
            for head, labels in HEADS.items()
        },
    }
    for name, query in asked.items():
        with database.read() as session:
            question = narrow_by_index(session, query, faces_statement(query))
        plan = _plan(database, question.limit(101))
        assert _is_by_index(plan), f"{name}:\n{plan}"


def test_a_job_s_faces_with_a_label_are_not_looked_for_among_all_of_the_job(
    database: Database, many: StoredJob
) -> None:
    if database.dialect == "sqlite":
        # Its statistics are samples; as they fall, a job may seem to have hardly any faces.
        with database.begin() as session:
            session.execute(text("DELETE FROM sqlite_stat1"))
            few = "('faces', 'ix_faces_job_order', '16000 2 2 1 1')"
            session.execute(text(f"INSERT INTO sqlite_stat1 VALUES {few}"))
        with database.begin() as session:
            session.execute(text("ANALYZE sqlite_schema"))
    for head in HEADS:
        query = FaceQuery(job_id=many.id, attributes={head: AttributeFilter(("unsure",))})
        with database.read() as session:
            question = narrow_by_index(session, query, faces_statement(query))
        assert f"ix_faces_{head}" in _plan(database, question.limit(101)), head


def test_a_job_without_faces_has_none_with_a_label(database: Database, many: StoredJob) -> None:
    nobody = stored_job(database, ["new.mp4"])
    query = FaceQuery(job_id=nobody.id, attributes={"age": AttributeFilter(("young",))})
    assert questions.list_faces(database, replace(query, job_id=many.id)).faces
    assert questions.list_faces(database, query).faces == []


def test_questions_by_blocks_read_no_other_faces(database: Database, many: StoredJob) -> None:
    item = many.items[2]
    male = AttributeFilter(("male",), 0.5)
    for query in (
        FaceQuery(item_id=item, track=3),
        FaceQuery(job_id=many.id, item_id=item, min_time_ms=9000.0, max_time_ms=9999.0),
        FaceQuery(min_score=0.5),
        FaceQuery(job_id=many.id, attributes={"gender": male}),
    ):
        asked: list[Any] = []
        with database.read() as session:
            event.listen(session, "do_orm_execute", partial(_keep, asked))
            found = faces_in_blocks(session, query, face_conditions(query))
        assert found
        blocks, faces = asked[:2]
        assert "face_blocks" in _plan(database, blocks)
        plan = _plan(database, faces)
        assert "SCAN faces" not in plan, plan
        assert "Seq Scan on faces" not in plan, plan
        if query.item_id is not None:
            # Of such a bound PostgreSQL sees no more than the item.
            assert "ROW(" not in plan, plan


def _keep(asked: list[Any], state: ORMExecuteState) -> None:
    asked.append(state.statement)


def test_of_rare_labels_few_faces_are_read(database: Database, many: StoredJob) -> None:
    unsure = {head: AttributeFilter(("unsure",)) for head in ("gender", "age")}
    query = FaceQuery(attributes=unsure)
    with database.read() as session:
        question = narrow_by_index(session, query, faces_statement(query))
    plan = _plan(database, question.limit(101))
    assert "few" in plan or "ix_faces_gender" in plan, plan
    assert "SCAN faces" not in plan, plan
    assert "Seq Scan on faces" not in plan, plan
    assert questions.list_faces(database, query).faces == []
    assert many.items


def test_questions_about_tracks_use_indexes(database: Database, many: StoredJob) -> None:
    plan = _plan(database, tracks_statement(TrackQuery(job_id=many.id)).limit(101))
    assert _is_by_index(plan), plan


def _plan(database: Database, question: Select[Any]) -> str:
    on_postgres = database.dialect == "postgresql"
    written = str(
        question.compile(database.engine, compile_kwargs={"literal_binds": True})
    ).replace("%%", "%")
    prefix = "EXPLAIN" if on_postgres else "EXPLAIN QUERY PLAN"
    with database.read() as session:
        rows = session.connection().exec_driver_sql(f"{prefix} {written}").all()
    return "\n".join(str(row[0] if on_postgres else row[-1]) for row in rows)


def _is_by_index(plan: str) -> bool:
    """No sort, and no reading of a table but along an index."""
    lines = plan.splitlines()
    if any("TEMP B-TREE" in line or "Sort" in line or "Seq Scan" in line for line in lines):
        return False
    return all(
        "INDEX" in line or "Index" in line for line in lines if "SCAN" in line or "Scan" in line
    )
