"""Queries that run all the time cost no more with a long queue than with a short one."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from faces_jobs.db.claims.scheduling import claim_next
from faces_jobs.db.future_times import correct_future_times
from faces_jobs.db.segments.overdue import (
    mark_all_segments_rung,
    orphaned_segments,
    waiting_segments,
)
from faces_jobs.db.segments.poison import fail_poisoned_segments
from faces_jobs.db.session import Database, open_database
from faces_jobs.results import get_job
from tests.factories import stored_job

FEW, MANY = 100, 4000

Query = Callable[[Database], object]


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(
            partial(claim_next, worker="a", lease_seconds=60.0, max_attempts=3), id="next"
        ),
        pytest.param(partial(waiting_segments, ring_again_seconds=600.0, limit=256), id="waiting"),
        pytest.param(
            partial(orphaned_segments, ring_again_seconds=600.0, max_attempts=3, limit=256),
            id="orphaned",
        ),
        pytest.param(
            partial(fail_poisoned_segments, max_attempts=3, limit=256, is_dead=lambda *_: True),
            id="poison",
        ),
        pytest.param(
            partial(correct_future_times, lease_seconds=30.0, pause_seconds=300.0, limit=256),
            id="future",
        ),
    ],
)
def test_a_long_queue_costs_no_more_than_a_short_one(database: Database, query: Query) -> None:
    costs = []
    for count in (FEW, MANY):
        job = stored_job(database, [f"{number}.png" for number in range(count)])
        mark_all_segments_rung(database, job.id)
        if database.dialect == "postgresql":  # as autovacuum does sooner or later
            with database.begin() as session:
                session.execute(text("ANALYZE"))
        query(database)  # once before measuring, to fill caches
        costs.append(_cost(database, query))
    assert costs[1] < 2 * costs[0] + FEW, costs


def test_a_job_of_many_files_is_stored_by_as_few_statements_as_one_of_few(
    database: Database,
) -> None:
    statements: list[str] = []

    def watch(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", watch)
    counts = []
    for count in (FEW, MANY):
        statements.clear()
        job = stored_job(database, [f"{number}.png" for number in range(count)])
        counts.append(len(statements))
        assert len(job.segments) == count
        assert list(job.segments) == sorted(job.segments)

    assert counts[0] == counts[1]


def test_a_large_job_without_statistics_is_not_summed_up_for_each_item(
    postgres_database_url: str,
) -> None:
    plans: list[str] = []

    def explain(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if "GROUP BY items.job_id" in statement:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            cursor = raw.cursor()
            cursor.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
            cursor.close()

    with open_database(postgres_database_url) as database:
        for _ in range(3):
            stored_job(database)
        with database.begin() as session:  # the database knows of small jobs only
            session.execute(text("ANALYZE"))
        job = stored_job(database, [f"{number}.png" for number in range(FEW)])
        event.listen(database.engine, "before_cursor_execute", explain)

        assert get_job(database, job.id).item_count == FEW

    (plan,) = plans
    assert "Join" in plan
    assert "Nested Loop" not in plan


def _cost(database: Database, query: Query) -> int:
    """Return how many steps SQLite takes, or how many rows of `segments` PostgreSQL reads."""
    queries: list[tuple[str, Any]] = []
    steps: list[int] = []

    def watch(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        if statement.startswith("SELECT") and " FOR " not in statement:
            queries.append((statement, parameters))
        if database.dialect == "sqlite":
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.set_progress_handler(lambda: steps.append(1), 10)

    event.listen(database.engine, "before_cursor_execute", watch)
    try:
        query(database)
    finally:
        event.remove(database.engine, "before_cursor_execute", watch)
    assert queries
    if database.dialect == "sqlite":
        return 10 * len(steps)
    with database.read() as session:
        plans = [
            session.connection()
            .exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            .scalar_one()
            for statement, parameters in queries
        ]
    return sum(
        _rows_read(one["Plan"])
        for plan in plans
        for one in (plan if isinstance(plan, list) else json.loads(plan))
    )


def _rows_read(node: dict[str, Any]) -> int:
    below = sum(_rows_read(child) for child in node.get("Plans", ()))
    if node.get("Relation Name") != "segments":
        return below
    each: float = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    loops: int = node["Actual Loops"]
    return below + round(each * loops)
