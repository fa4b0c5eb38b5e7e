"""Measures the API's queries among millions of faces, by kind."""

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
from tests.bench_jobs.rows import HUNDRED_HOURS_MS, LAST_JOB_ONLY, NEVER, SHARES, Population

ROUNDS = 3
SLOW_SECONDS = 5.0  # a query that takes longer is not repeated

Query = Callable[[], object]


@dataclass(frozen=True, slots=True)
class _Duration:
    ms: float
    own_ms: float


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """The queries of one kind."""

    kind: str
    questions: int
    median_ms: float
    p95_ms: float
    own_median_ms: float  # of the database alone, which is reliable on a busy machine as well
    own_p95_ms: float
    own_slowest_ms: float
    slowest: str


def measure_queries(database: Database, population: Population) -> list[QueryFigures]:
    """Run all queries; return the figures of each kind, and of `all` together."""
    gc.collect()
    gc.freeze()  # as the web server does after its start
    durations: dict[str, dict[str, list[_Duration]]] = {}
    for kind, name, query in _queries(database, population):
        of_query = durations.setdefault(kind, {}).setdefault(name, [])
        for _ in range(ROUNDS):
            of_query.append(_measure(database, query))
            if of_query[-1].ms > SLOW_SECONDS * 1000:
                break
    figures = [_figures(kind, by_name) for kind, by_name in durations.items()]
    everything = {
        f"{kind}: {name}": of_query
        for kind, by_name in durations.items()
        for name, of_query in by_name.items()
    }
    return [*figures, _figures("all", everything)]


def _figures(kind: str, by_name: Mapping[str, list[_Duration]]) -> QueryFigures:
    # The first round counts like the others, since users run a query once.
    every = sorted(duration.ms for durations in by_name.values() for duration in durations)
    own = sorted(duration.own_ms for durations in by_name.values() for duration in durations)
    medians = {
        name: statistics.median(duration.own_ms for duration in durations)
        for name, durations in by_name.items()
    }
    slowest = max(medians, key=lambda name: medians[name])
    return QueryFigures(
        kind=kind,
        questions=len(by_name),
        median_ms=statistics.median(every),
        p95_ms=_p95(every),
        own_median_ms=statistics.median(own),
        own_p95_ms=_p95(own),
        own_slowest_ms=medians[slowest],
        slowest=slowest,
    )


def _measure(database: Database, query: Query) -> _Duration:
    """Run a query once, and determine the time of the database alone.

    PostgreSQL's is taken from EXPLAIN. SQLite runs in this thread, whose CPU time also includes
    building the query and the page.
    """
    with _recorded_statements(database) as statements:
        started, cpu_started = time.perf_counter(), time.thread_time()
        with suppress(DatabaseError, DBAPIError):  # PostgreSQL's statement timeout
            query()
        own = (time.thread_time() - cpu_started) * 1000
        ms = (time.perf_counter() - started) * 1000
    if database.dialect == "postgresql":
        own = sum(_explain_ms(database, *statement) for statement in statements)
    return _Duration(ms, own)


@contextmanager
def _recorded_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Record the statements, with their parameters, that the database executes in this block."""
    statements: list[tuple[str, Any]] = []

    def record(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", record)


def _explain_ms(database: Database, statement: str, parameters: Any) -> float:
    """Return the server's planning and execution time of a statement, in milliseconds."""
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    with database.engine.connect() as connection:
        ((plan,),) = connection.exec_driver_sql(explain, parameters).scalars()
    return float(plan["Planning Time"] + plan["Execution Time"])


def _p95(ascending: list[float]) -> float:
    return ascending[min(len(ascending) - 1, round(0.95 * len(ascending)))]


def _queries(database: Database, population: Population) -> Iterator[tuple[str, str, Query]]:
    """Yield kind, name and function of every query."""
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
    scopes = {
        "all jobs": FaceQuery(),
        "large job": FaceQuery(job_id=population.big_job),
        "small job": FaceQuery(job_id=population.small_job),
        "last job": FaceQuery(job_id=population.last_job),
    }
    for scope, base in scopes.items():
        yield from _page_and_label_queries(scope, base)
        yield from _value_queries(scope, base)
    item = FaceQuery(item_id=population.big_item)
    yield "track", "large item, a track", replace(item, track=population.big_track)
    yield "time", "large item, ten seconds", replace(item, min_time_ms=900_000, max_time_ms=910_000)
    yield (
        "time",
        "large item, at its end, a rare label",
        _with(replace(item, min_time_ms=900_000), expression="disgust"),
    )


def _page_and_label_queries(scope: str, base: FaceQuery) -> Iterator[tuple[str, str, FaceQuery]]:
    yield "pages", f"{scope}", base
    yield "pages", f"{scope}, 1000 a page", replace(base, limit=1000)
    for head, shares in SHARES.items():
        for label in shares:
            yield "one label", f"{scope}, {head} {label}", _with(base, **{head: label})
    yield "one label", f"{scope}, two of one head", _with(base, expression=("fear", "disgust"))
    for head, label in (LAST_JOB_ONLY, NEVER):
        yield "rare label", f"{scope}, {head} {label}", _with(base, **{head: label})
    for one, other in combinations(SHARES, 2):
        common = [_commonest(head) for head in (one, other)]
        yield (
            "two labels",
            f"{scope}, {one} {common[0]}, {other} {common[1]}",
            _with(base, **{one: common[0], other: common[1]}),
        )
    yield (
        "two labels",
        f"{scope}, disgust and child",
        _with(base, expression="disgust", age="child"),
    )
    yield "two labels", f"{scope}, child and over", _with(base, age="child", makeup="over")
    yield (
        "labels that never occur together",
        f"{scope}, female with a beard",
        _with(base, gender="female", occlusion="beard"),
    )


def _value_queries(scope: str, base: FaceQuery) -> Iterator[tuple[str, str, FaceQuery]]:
    for head in SHARES:
        for bound in (0.5, 0.9, 0.99):
            label = next(iter(SHARES[head]))
            yield (
                "probability",
                f"{scope}, {head} {label} >= {bound}",
                _likely(base, head, (label,), bound),
            )
        yield "probability", f"{scope}, {head} >= 0.9", _likely(base, head, (), 0.9)
    yield (
        "probability that no face has",
        f"{scope}, neutral above 1 - 1e-9",
        _likely(base, "expression", ("neutral",), 1 - 1e-9),
    )
    yield "score", f"{scope}, score >= 0.9", replace(base, min_score=0.9)
    yield "score", f"{scope}, score >= 0.999", replace(base, min_score=0.999)
    yield (
        "time",
        f"{scope}, seconds 10 to 20",
        replace(base, min_time_ms=10_000, max_time_ms=20_000),
    )
    yield "time", f"{scope}, after 90 s", replace(base, min_time_ms=90_000)
    yield (
        "time that no face has",
        f"{scope}, after hours",
        replace(base, min_time_ms=HUNDRED_HOURS_MS),
    )
    yield "track", f"{scope}, track 3", replace(base, track=3)


def _track_queries(population: Population) -> Iterator[tuple[str, TrackQuery]]:
    base = TrackQuery(job_id=population.big_job)
    yield "large job", base
    yield "large job, minute", replace(base, min_time_ms=60_000, max_time_ms=120_000)
    for head, label in (("gender", "female"), ("expression", "disgust"), NEVER):
        attributes = {head: AttributeFilter((label,))}
        yield f"large job, {label}", replace(base, attributes=attributes)


def _commonest(head: str) -> str:
    return max(SHARES[head].items(), key=itemgetter(1))[0]


def _with(query: FaceQuery, **labels: str | tuple[str, ...]) -> FaceQuery:
    return replace(
        query,
        attributes={
            head: AttributeFilter((label,) if isinstance(label, str) else label)
            for head, label in labels.items()
        },
    )


def _likely(query: FaceQuery, head: str, labels: tuple[str, ...], bound: float) -> FaceQuery:
    return replace(query, attributes={head: AttributeFilter(labels, bound)})
