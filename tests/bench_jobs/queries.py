"""Measures how long queries of the API take among millions of faces, by kind of query."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from operator import itemgetter
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from faces_jobs.db.session import Database
from faces_jobs.errors import DatabaseError
from faces_jobs.jobs.query import AttributeFilter, FaceQuery, TrackQuery
from faces_jobs.results import list_faces, list_tracks
from tests.bench_jobs.rows import HUNDRED_HOURS_MS, NEVER_USED, ONLY_IN_LAST_JOB, SHARES, Population

ROUNDS = 3
SLOW_SECONDS = 5.0  # a query that takes longer is not repeated

Query = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Timing:
    ms: float
    database_ms: float


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """Times of the queries of one kind."""

    kind: str
    queries: int
    median_ms: float
    p95_ms: float
    db_median_ms: float  # of the database alone, valid on a busy machine too
    db_p95_ms: float
    db_slowest_ms: float
    slowest: str  # the query of `db_slowest_ms`


def measure_queries(database: Database, population: Population) -> list[QueryFigures]:
    """Run all queries; return figures by kind, and for all of them as `all`."""
    gc.collect()
    gc.freeze()  # as the web server does after loading its modules
    times: dict[str, dict[str, list[_Timing]]] = {}
    for kind, name, query in _queries(database, population):
        timings = times.setdefault(kind, {}).setdefault(name, [])
        for _ in range(ROUNDS):
            timings.append(_measure(database, query))
            if timings[-1].ms > SLOW_SECONDS * 1000:
                break
    figures = [_figures(kind, by_name) for kind, by_name in times.items()]
    everything = {f"{kind}: {n}": t for kind, by_name in times.items() for n, t in by_name.items()}
    return [*figures, _figures("all", everything)]


def _figures(kind: str, by_name: Mapping[str, list[_Timing]]) -> QueryFigures:
    # The first round of a query counts like the others, since users run a query once.
    totals = sorted(one.ms for timings in by_name.values() for one in timings)
    database_times = sorted(one.database_ms for timings in by_name.values() for one in timings)
    medians = {
        name: statistics.median(one.database_ms for one in timings)
        for name, timings in by_name.items()
    }
    slowest = max(medians, key=lambda name: medians[name])
    return QueryFigures(
        kind=kind,
        queries=len(by_name),
        median_ms=statistics.median(totals),
        p95_ms=_p95(totals),
        db_median_ms=statistics.median(database_times),
        db_p95_ms=_p95(database_times),
        db_slowest_ms=medians[slowest],
        slowest=slowest,
    )


def _measure(database: Database, query: Query) -> _Timing:
    """Run a query once, and measure the share of the database.

    PostgreSQL reports it by EXPLAIN. SQLite works in this thread, so its share is the processor
    time of the thread, which includes building the statement and the page.
    """
    with _recorded_statements(database) as statements:
        started, thread_started = time.perf_counter(), time.thread_time()
        # PostgreSQL cancels a statement after its timeout.
        with suppress(DatabaseError, DBAPIError):
            query()
        database_ms = (time.thread_time() - thread_started) * 1000
        ms = (time.perf_counter() - started) * 1000
    if database.dialect == "postgresql":
        database_ms = sum(_explained_ms(database, *statement) for statement in statements)
    return _Timing(ms, database_ms)


@contextmanager
def _recorded_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Record the statements of this block, with their parameters."""
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", record)


def _explained_ms(database: Database, statement: str, parameters: Any) -> float:
    """Milliseconds of planning and execution, as PostgreSQL reports them."""
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    with database.engine.connect() as connection:
        ((plan,),) = connection.exec_driver_sql(explain, parameters).scalars()
    return float(plan["Planning Time"] + plan["Execution Time"])


def _p95(ascending: list[float]) -> float:
    return ascending[min(len(ascending) - 1, round(0.95 * len(ascending)))]


def _queries(database: Database, population: Population) -> Iterator[tuple[str, str, Query]]:
    """Yield (kind, name, query)."""
    for kind, name, query in _face_queries(population):
        yield kind, name, partial(list_faces, database, query)
        if kind in ("pages", "one label"):
            cursor = list_faces(database, replace(query, limit=1000)).next_cursor
            if cursor is not None:
                later = replace(query, cursor=cursor)
                yield kind, f"{name}, later", partial(list_faces, database, later)
    for name, tracks in _track_queries(population):
        yield "tracks", name, partial(list_tracks, database, tracks)


def _face_queries(population: Population) -> Iterator[tuple[str, str, FaceQuery]]:
    places = {
        "all jobs": FaceQuery(),
        "large job": FaceQuery(job_id=population.big_job),
        "small job": FaceQuery(job_id=population.small_job),
        "last job": FaceQuery(job_id=population.last_job),
    }
    for place, base in places.items():
        yield "pages", f"{place}", base
        yield "pages", f"{place}, 1000 a page", replace(base, limit=1000)
        for head, shares in SHARES.items():
            for label in shares:
                yield "one label", f"{place}, {head} {label}", _with_labels(base, **{head: label})
        yield (
            "one label",
            f"{place}, two of one head",
            _with_labels(base, expression=("fear", "disgust")),
        )
        for head, label in (ONLY_IN_LAST_JOB, NEVER_USED):
            yield "rare label", f"{place}, {head} {label}", _with_labels(base, **{head: label})
        for one, other in combinations(SHARES, 2):
            frequent = [_most_frequent_label(head) for head in (one, other)]
            yield (
                "two labels",
                f"{place}, {one} {frequent[0]}, {other} {frequent[1]}",
                _with_labels(base, **{one: frequent[0], other: frequent[1]}),
            )
        yield (
            "two labels",
            f"{place}, disgust and child",
            _with_labels(base, expression="disgust", age="child"),
        )
        yield (
            "two labels",
            f"{place}, child and over",
            _with_labels(base, age="child", makeup="over"),
        )
        yield (
            "labels that never occur together",
            f"{place}, female with a beard",
            _with_labels(base, gender="female", occlusion="beard"),
        )
        for head in SHARES:
            for bound in (0.5, 0.9, 0.99):
                label = next(iter(SHARES[head]))
                yield (
                    "probability",
                    f"{place}, {head} {label} >= {bound}",
                    _with_min_probability(base, head, (label,), bound),
                )
            yield (
                "probability",
                f"{place}, {head} >= 0.9",
                _with_min_probability(base, head, (), 0.9),
            )
        yield (
            "probability without faces",
            f"{place}, neutral above 1 - 1e-9",
            _with_min_probability(base, "expression", ("neutral",), 1 - 1e-9),
        )
        yield "score", f"{place}, score >= 0.9", replace(base, min_score=0.9)
        yield "score", f"{place}, score >= 0.999", replace(base, min_score=0.999)
        yield (
            "time",
            f"{place}, seconds 10 to 20",
            replace(base, min_time_ms=10_000, max_time_ms=20_000),
        )
        yield "time", f"{place}, after 90 s", replace(base, min_time_ms=90_000)
        yield (
            "time without faces",
            f"{place}, after hours",
            replace(base, min_time_ms=HUNDRED_HOURS_MS),
        )
        yield "track", f"{place}, track 3", replace(base, track=3)
    item = FaceQuery(item_id=population.big_item)
    yield "track", "large item, a track", replace(item, track=population.big_track)
    yield "time", "large item, ten seconds", replace(item, min_time_ms=900_000, max_time_ms=910_000)
    yield (
        "time",
        "large item, at its end, a rare label",
        _with_labels(replace(item, min_time_ms=900_000), expression="disgust"),
    )


def _track_queries(population: Population) -> Iterator[tuple[str, TrackQuery]]:
    base = TrackQuery(job_id=population.big_job)
    yield "large job", base
    yield "large job, minute", replace(base, min_time_ms=60_000, max_time_ms=120_000)
    for head, label in (("gender", "female"), ("expression", "disgust"), NEVER_USED):
        attributes = {head: AttributeFilter((label,))}
        yield f"large job, {label}", replace(base, attributes=attributes)


def _most_frequent_label(head: str) -> str:
    return max(SHARES[head].items(), key=itemgetter(1))[0]


def _with_labels(query: FaceQuery, **labels: str | tuple[str, ...]) -> FaceQuery:
    return replace(
        query,
        attributes={
            head: AttributeFilter((label,) if isinstance(label, str) else label)
            for head, label in labels.items()
        },
    )


def _with_min_probability(
    query: FaceQuery, head: str, labels: tuple[str, ...], bound: float
) -> FaceQuery:
    return replace(query, attributes={head: AttributeFilter(labels, bound)})
