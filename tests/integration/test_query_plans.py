"""Query plans: queries of faces and tracks use an index and don't sort."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Select, event, text
from sqlalchemy.orm import ORMExecuteState

from faces_jobs import results as results_api
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database, open_database
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
    face,
    new_claim,
    results,
    stored_job,
    track,
)


@pytest.fixture(scope="module")
def database(shared_database_url: str) -> Iterator[Database]:
    with open_database(shared_database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def many(database: Database) -> StoredJob:
    """The last of several jobs with enough rows for the planner to prefer indexes."""
    job = None
    for _ in range(4):
        job = stored_job(database, [f"{number}.mp4" for number in range(5)])
        for segment in job.segments:
            finish_segment(
                database,
                new_claim(database, segment),
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


def test_face_queries_use_indexes(
    database: Database, many: StoredJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the special case for rare labels, which sorts: see its own test below.
    monkeypatch.setattr(planner_hints, "MAX_RARE_FACES", -1)
    item = many.items[2]
    cursor = results_api.list_faces(database, FaceQuery(job_id=many.id, limit=1000)).next_cursor
    assert cursor is not None
    queries = {
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
    for name, query in queries.items():
        with database.read() as session:
            statement = narrow_by_index(session, query, faces_statement(query))
        plan = _plan(database, statement.limit(101))
        assert _uses_only_indexes(plan), f"{name}:\n{plan}"


def test_faces_of_a_job_with_a_label_are_found_by_the_index_of_the_label(
    database: Database, many: StoredJob
) -> None:
    with _misleading_statistics(database):
        for head in HEADS:
            query = FaceQuery(job_id=many.id, attributes={head: AttributeFilter(("unsure",))})
            with database.read() as session:
                statement = narrow_by_index(session, query, faces_statement(query))
            assert f"ix_faces_{head}" in _plan(database, statement.limit(101)), head


@contextmanager
def _misleading_statistics(database: Database) -> Iterator[None]:
    """On SQLite, whose statistics are samples: as if a job had hardly any faces."""
    if database.dialect != "sqlite":
        yield
        return
    with database.begin() as session:
        session.execute(text("DELETE FROM sqlite_stat1"))
        statistics = "('faces', 'ix_faces_job_order', '16000 2 2 1 1')"
        session.execute(text(f"INSERT INTO sqlite_stat1 VALUES {statistics}"))
    with database.begin() as session:
        session.execute(text("ANALYZE sqlite_schema"))
    yield
    with database.begin() as session:
        session.execute(text("ANALYZE"))


def test_a_job_without_faces_has_none_with_a_label(database: Database, many: StoredJob) -> None:
    empty = stored_job(database, ["new.mp4"])
    query = FaceQuery(job_id=empty.id, attributes={"age": AttributeFilter(("young",))})
    assert results_api.list_faces(database, replace(query, job_id=many.id)).faces
    assert results_api.list_faces(database, query).faces == []


def test_queries_by_blocks_read_only_the_faces_of_the_blocks(
    database: Database, many: StoredJob
) -> None:
    item = many.items[2]
    male = AttributeFilter(("male",), 0.5)
    for query in (
        FaceQuery(item_id=item, track=3),
        FaceQuery(job_id=many.id, item_id=item, min_time_ms=9000.0, max_time_ms=9999.0),
        FaceQuery(min_score=0.5),
        FaceQuery(job_id=many.id, attributes={"gender": male}),
    ):
        executed: list[Any] = []
        with database.read() as session:
            event.listen(session, "do_orm_execute", partial(_record, executed))
            found = faces_in_blocks(session, query, face_conditions(query))
        assert found
        blocks, faces = executed[:2]
        assert "face_blocks" in _plan(database, blocks)
        plan = _plan(database, faces)
        assert "SCAN faces" not in plan, plan
        assert "Seq Scan on faces" not in plan, plan
        if query.item_id is not None:
            # PostgreSQL would use no more of a row comparison than its first column.
            assert "ROW(" not in plan, plan


def _record(executed: list[Any], state: ORMExecuteState) -> None:
    executed.append(state.statement)


def test_queries_of_rare_labels_read_few_faces(database: Database, many: StoredJob) -> None:
    unsure = {head: AttributeFilter(("unsure",)) for head in ("gender", "age")}
    query = FaceQuery(attributes=unsure)
    with database.read() as session:
        statement = narrow_by_index(session, query, faces_statement(query))
    plan = _plan(database, statement.limit(101))
    assert "few" in plan or "ix_faces_gender" in plan, plan
    assert "SCAN faces" not in plan, plan
    assert "Seq Scan on faces" not in plan, plan
    assert results_api.list_faces(database, query).faces == []
    assert many.items


def test_track_queries_use_indexes(database: Database, many: StoredJob) -> None:
    plan = _plan(database, tracks_statement(TrackQuery(job_id=many.id)).limit(101))
    assert _uses_only_indexes(plan), plan


def _plan(database: Database, statement: Select[Any]) -> str:
    on_postgres = database.dialect == "postgresql"
    sql = str(statement.compile(database.engine, compile_kwargs={"literal_binds": True})).replace(
        "%%", "%"
    )
    prefix = "EXPLAIN" if on_postgres else "EXPLAIN QUERY PLAN"
    with database.read() as session:
        rows = session.connection().exec_driver_sql(f"{prefix} {sql}").all()
    return "\n".join(str(row[0] if on_postgres else row[-1]) for row in rows)


def _uses_only_indexes(plan: str) -> bool:
    """Whether a plan sorts nothing and reads tables only by an index."""
    lines = plan.splitlines()
    if any("TEMP B-TREE" in line or "Sort" in line or "Seq Scan" in line for line in lines):
        return False
    return all(
        "INDEX" in line or "Index" in line for line in lines if "SCAN" in line or "Scan" in line
    )
